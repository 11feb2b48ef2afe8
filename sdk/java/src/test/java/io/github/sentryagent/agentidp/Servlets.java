package io.github.sentryagent.agentidp;

import jakarta.servlet.Filter;
import jakarta.servlet.http.HttpServlet;
import java.nio.file.Path;
import org.apache.catalina.Context;
import org.apache.catalina.LifecycleException;
import org.apache.catalina.Wrapper;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.FilterDef;
import org.apache.tomcat.util.descriptor.web.FilterMap;

/** A real servlet container with one servlet. */
final class Servlets implements AutoCloseable {
    private final Tomcat server = new Tomcat();

    /** Without a filter when that is null. */
    Servlets(Path folder, HttpServlet servlet, Filter filter) throws LifecycleException {
        server.setBaseDir(folder.toString());
        server.setPort(0);
        server.getConnector().setProperty("address", "127.0.0.1");
        Context context = server.addContext("", null);
        Wrapper wrapper = Tomcat.addServlet(context, "servlet", servlet);
        wrapper.setAsyncSupported(true);
        context.addServletMappingDecoded("/*", "servlet");
        if (filter != null) {
            FilterDef definition = new FilterDef();
            definition.setFilterName("filter");
            definition.setFilter(filter);
            context.addFilterDef(definition);
            FilterMap map = new FilterMap();
            map.setFilterName("filter");
            map.addURLPattern("/*");
            context.addFilterMap(map);
        }
        server.start();
    }

    String url() {
        return "http://127.0.0.1:" + server.getConnector().getLocalPort();
    }

    @Override
    public void close() throws LifecycleException {
        server.stop();
        server.destroy();
    }
}
