package rival

import (
	"fmt"
	"os/exec"
)

// nginxConfig: workers, folder, upstream, address. Connections are kept alive on
// both sides for as many requests as come; nothing is logged or spilled to disk.
const nginxConfig = `worker_processes %[1]d;
daemon off;
pid %[2]s/nginx.pid;
error_log stderr warn;

events {
    worker_connections 4096;
}

http {
    access_log off;
    server_tokens off;
    keepalive_requests 1000000000;
    client_body_temp_path %[2]s/body;
    proxy_temp_path %[2]s/proxy;
    fastcgi_temp_path %[2]s/fastcgi;
    uwsgi_temp_path %[2]s/uwsgi;
    scgi_temp_path %[2]s/scgi;

    upstream api {
        server %[3]s;
        keepalive 1024;
        keepalive_requests 1000000000;
    }

    server {
        listen %[4]s;

        location / {
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_max_temp_file_size 0;
        }
    }
}
`

func nginx(r *Rival, o Options) (*exec.Cmd, error) {
	path, err := program("nginx")
	if err != nil {
		return nil, err
	}
	config, err := r.write("nginx.conf", fmt.Sprintf(nginxConfig, o.Cores, r.dir, o.Upstream, r.Addr))
	if err != nil {
		return nil, err
	}
	return exec.Command(path, "-p", r.dir, "-e", "stderr", "-c", config), nil
}
