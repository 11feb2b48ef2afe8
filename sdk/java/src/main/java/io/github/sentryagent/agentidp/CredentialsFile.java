package io.github.sentryagent.agentidp;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.List;

/** A credential in a JSON file. Problems name members, never what is in them. */
final class CredentialsFile {
    private final String name;
    private final List<String> problems;

    CredentialsFile(String name, List<String> problems) {
        this.name = name;
        this.problems = problems;
    }

    /** What of the file counts. */
    record Wire(String url, String clientId, String clientSecret, String privateKeyFile, String keyId) {}

    /** Returns the URL that the file names, null if it names none. */
    String into(Path path, ConfigBuilder builder) {
        Wire wire;
        try {
            wire = Json.read(Files.readAllBytes(path), Wire.class);
        } catch (IOException e) {
            problems.add(name + " cannot be read");
            return null;
        } catch (InvalidAnswerException e) {
            problems.add(name + " is not a JSON object of texts");
            return null;
        }
        if (wire.clientSecret != null && wire.privateKeyFile != null) {
            problems.add(name + " has both clientSecret and privateKeyFile");
        } else if (wire.clientSecret == null && wire.privateKeyFile == null) {
            problems.add(name + " has neither clientSecret nor privateKeyFile");
        }
        if (wire.clientId == null) {
            problems.add(name + " has no clientId");
        }
        builder.clientId(wire.clientId).clientSecret(wire.clientSecret).keyId(wire.keyId);
        if (wire.url != null) {
            builder.url(wire.url);
        }
        if (wire.privateKeyFile != null) {
            builder.privateKey(beside(path, wire.privateKeyFile));
        }
        return wire.url;
    }

    private String beside(Path path, String file) {
        try {
            return Files.readString(path.toAbsolutePath().resolveSibling(file));
        } catch (IOException | InvalidPathException e) {
            problems.add("privateKeyFile of " + name + " cannot be read");
            return null;
        }
    }
}
