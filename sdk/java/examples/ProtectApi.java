import io.github.sentryagent.agentidp.Verifier;
import io.github.sentryagent.agentidp.servlet.BearerFilter;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Files;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.descriptor.web.FilterDef;
import org.apache.tomcat.util.descriptor.web.FilterMap;

/** A server without a sidecar lets only agents with notes:read pass: {@code java ProtectApi.java ISSUER AUDIENCE}. */
final class ProtectApi {
    private ProtectApi() {}

    public static void main(String[] args) throws Exception {
        Verifier verifier = Verifier.builder()
                .issuer(args[0])
                .audience(args[1])
                .checkStatusLists()
                .build();
        Tomcat server = new Tomcat();
        server.setBaseDir(Files.createTempDirectory("protect-api").toString());
        server.setPort(0);
        Context context = server.addContext("", null);
        Tomcat.addServlet(context, "hello", new Hello());
        context.addServletMappingDecoded("/*", "hello");
        FilterDef filter = new FilterDef();
        filter.setFilterName("bearer");
        filter.setFilter(new BearerFilter(verifier, "notes:read"));
        context.addFilterDef(filter);
        FilterMap everywhere = new FilterMap();
        everywhere.setFilterName("bearer");
        everywhere.addURLPattern("/*");
        context.addFilterMap(everywhere);
        server.getConnector(); // makes one
        server.start();
        System.out.println("http://127.0.0.1:" + server.getConnector().getLocalPort());
        System.in.read(); // until the input ends
        server.stop();
        server.destroy();
    }

    private static final class Hello extends HttpServlet {
        private static final long serialVersionUID = 1L;

        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            response.getWriter().write("hello, " + request.getRemoteUser());
        }
    }
}
