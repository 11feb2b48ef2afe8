package io.github.sentryagent.agentidp;

import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * One request of the management API.
 *
 * @param body sent as JSON; null: none
 * @param form sent instead; null: none
 * @param open needs no token
 * @param repeatable doing it twice is doing it once
 * @param takes a status beside 2xx whose body is an answer; 0: none
 * @param limit for all attempts, the pauses between them and the wait for their tokens
 */
record Call(
        String method,
        String path,
        Map<String, String> query,
        Object body,
        Map<String, String> form,
        boolean open,
        boolean repeatable,
        String accept,
        int takes,
        Duration limit) {

    private static final String JSON = "application/json";
    private static final Duration LIMIT = Duration.ofSeconds(60);

    private static Call of(String method, String path, Object body, Map<String, String> form, boolean repeatable) {
        return new Call(method, path, Map.of(), body, form, false, repeatable, JSON, 0, LIMIT);
    }

    static Call get(String path) {
        return of("GET", path, null, null, true);
    }

    static Call delete(String path) {
        return of("DELETE", path, null, null, true);
    }

    static Call patch(String path, Object body) {
        return of("PATCH", path, body, null, false);
    }

    /** The IdP does it once however often it is sent, by its Idempotency-Key. */
    static Call post(String path, Object body) {
        return of("POST", path, body, null, true);
    }

    static Call form(String path, Map<String, String> form) {
        return of("POST", path, null, form, true);
    }

    /** With a parameter, unless its value is null. */
    Call with(String name, Object value) {
        return value == null ? this : with(Map.of(name, value.toString()));
    }

    Call with(Map<String, String> parameters) {
        Map<String, String> all = new LinkedHashMap<>(query);
        all.putAll(parameters);
        return new Call(method, path, all, body, form, open, repeatable, accept, takes, limit);
    }

    Call openly() {
        return new Call(method, path, query, body, form, true, repeatable, accept, takes, limit);
    }

    Call accepting(String type) {
        return new Call(method, path, query, body, form, open, repeatable, type, takes, limit);
    }

    Call taking(int status) {
        return new Call(method, path, query, body, form, open, repeatable, accept, status, limit);
    }

    Call within(Duration time) {
        return new Call(method, path, query, body, form, open, repeatable, accept, takes, time);
    }

    String target() {
        return query.isEmpty() ? path : path + "?" + encode(query);
    }

    static String encode(Map<String, String> parameters) {
        return parameters.entrySet().stream()
                .map(e -> TokenRequest.parameter(e.getKey(), e.getValue()))
                .collect(Collectors.joining("&"));
    }

    /** Text as one part of a path. */
    static String segment(String text) {
        String encoded = URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
        return encoded.equals(".") || encoded.equals("..") ? encoded.replace(".", "%2E") : encoded;
    }
}
