package io.github.sentryagent.agentidp;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** The configuration that the environment holds. Problems name variables, never what is in them. */
final class Environment {
    private static final String URL = "AGENTIDP_URL";
    private static final String CLIENT_ID = "AGENTIDP_CLIENT_ID";
    private static final String SECRET = "AGENTIDP_CLIENT_SECRET";
    private static final String SECRET_FILE = "AGENTIDP_CLIENT_SECRET_FILE";
    private static final String KEY_FILE = "AGENTIDP_PRIVATE_KEY_FILE";
    private static final String KEY_ID = "AGENTIDP_KEY_ID";
    private static final String CREDENTIALS = "AGENTIDP_CREDENTIALS_FILE";

    private final Map<String, String> variables;
    private final List<String> problems;

    Environment(Map<String, String> variables, List<String> problems) {
        this.variables = variables;
        this.problems = problems;
    }

    void into(ConfigBuilder builder) {
        if (get(CREDENTIALS) != null) {
            fromFile(builder);
            return;
        }
        set(builder::url, get(URL));
        set(builder::clientId, get(CLIENT_ID));
        set(builder::keyId, get(KEY_ID));
        if (get(SECRET) != null && get(SECRET_FILE) != null) {
            problems.add(SECRET + " and " + SECRET_FILE + " are both set");
        }
        set(builder::clientSecret, get(SECRET));
        set(builder::clientSecret, content(SECRET_FILE));
        set(builder::privateKey, content(KEY_FILE));
    }

    private void fromFile(ConfigBuilder builder) {
        for (String other : new String[] {CLIENT_ID, SECRET, SECRET_FILE, KEY_FILE, KEY_ID}) {
            if (get(other) != null) {
                problems.add(CREDENTIALS + " and " + other + " are both set");
            }
        }
        Path path;
        try {
            path = Path.of(get(CREDENTIALS));
        } catch (InvalidPathException e) {
            problems.add(CREDENTIALS + " is not a path");
            return;
        }
        String named = new CredentialsFile(CREDENTIALS, problems).into(path, builder);
        String url = get(URL);
        if (named != null && url != null && !Config.withoutSlash(named).equals(Config.withoutSlash(url))) {
            problems.add(CREDENTIALS + " and " + URL + " name different addresses");
        } else {
            set(builder::url, url);
        }
    }

    private String get(String name) {
        String value = variables.get(name);
        return value == null || value.isEmpty() ? null : value;
    }

    private String content(String name) {
        String file = get(name);
        if (file == null) {
            return null;
        }
        try {
            return Files.readString(Path.of(file)).strip();
        } catch (IOException | InvalidPathException e) {
            problems.add(name + " names a file that cannot be read");
            return null;
        }
    }

    private static void set(java.util.function.Consumer<String> setter, String value) {
        if (value != null) {
            setter.accept(value);
        }
    }
}
