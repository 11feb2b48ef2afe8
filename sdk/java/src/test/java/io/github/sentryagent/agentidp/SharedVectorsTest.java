package io.github.sentryagent.agentidp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

class SharedVectorsTest {
    private static VerifiedToken withScope(String scope) {
        return new VerifiedToken(
                "i", "s", List.of("a"), "c", "o", scope, "j", Instant.EPOCH, Instant.EPOCH, Optional.empty(), "k");
    }

    @TestFactory
    Stream<DynamicTest> scopes() {
        JsonNode cases = Vectors.read("scopes.json").get("cases");
        assertFalse(cases.isEmpty());
        return StreamSupport.stream(cases.spliterator(), false).map(one -> {
            String scope = one.get("scope").asText();
            String demanded = one.get("demanded").asText();
            return DynamicTest.dynamicTest(
                    "'" + scope + "', " + demanded,
                    () -> assertEquals(
                            one.get("covered").asBoolean(), withScope(scope).covers(demanded)));
        });
    }

    @Test
    void onlyCapabilitiesCoverAndAreCovered() {
        for (String none :
                List.of("openid", "NOTES:READ", "notes:", ":read", "a:b:c", "no*:read", "-a:b", "", "a: b")) {
            assertFalse(withScope(none).covers(none), none);
            assertFalse(withScope("*:*").covers(none), none);
        }
        String longest = "notes:" + "r".repeat(122);
        assertTrue(withScope("notes:*").covers(longest));
        assertFalse(withScope("notes:*").covers(longest + "r"));
        assertTrue(withScope("*:*").covers("*:*"));
        assertFalse(withScope("notes:read ").covers("notes:read"));
        assertEquals(List.of(), withScope("").capabilities());
        assertEquals(List.of("a:b", "c:d"), withScope("a:b c:d").capabilities());
    }

    /** Of the lengths that the vectors' segments do not have, too. */
    @Test
    void everySegmentHasOneSpelling() {
        for (String good : List.of("", "AA", "AQ", "AAA", "AAE", "AAAA", "-_-_")) {
            assertTrue(CompactJws.canonical(good), good);
        }
        for (String other : List.of("A", "AB", "AAB", "AAAAA", "AA=", "AA==", "+/+/", "A A", "A\nAA", "AAé")) {
            assertFalse(CompactJws.canonical(other), other);
        }
    }

    /** A file that another language adds must be run here too. */
    @Test
    void everyFileIsRun() throws IOException {
        String tests = "";
        try (Stream<Path> sources = Files.walk(Vectors.REPOSITORY.resolve("sdk/java/src/test/java"))) {
            for (Path source : sources.filter(Files::isRegularFile).toList()) {
                tests += Files.readString(source);
            }
        }
        try (Stream<Path> files = Files.list(Vectors.REPOSITORY.resolve("sdk/testdata"))) {
            List<String> names = files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".json"))
                    .toList();
            assertFalse(names.isEmpty());
            for (String name : names) {
                assertTrue(tests.contains("read(\"" + name + "\")"), "no test reads " + name);
            }
        }
    }
}
