package io.github.sentryagent.agentidp;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Reads one JSON object that all readers agree on: valid UTF-8 without lone surrogates, no member name twice in an
 * object at any depth, at most 8 levels deep and 64 members an object, nothing after it. Values are {@link String},
 * {@link Long} where a number is written as an integer, {@link List}, {@link Map} and {@link Other}.
 */
final class StrictJson {
    private static final int MAX_DEPTH = 8;
    private static final int MAX_MEMBERS = 64;
    private static final JsonFactory FACTORY = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();

    /** What no rule asks for: fractions, exponents, integers beyond 64 bits, true, false and null. */
    enum Other {
        NUMBER,
        LITERAL
    }

    /** It is not such an object. */
    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1L;

        Malformed(String what) {
            super(what);
        }
    }

    private final JsonParser parser;

    private StrictJson(JsonParser parser) {
        this.parser = parser;
    }

    static Map<String, Object> object(byte[] data) throws Malformed {
        try (JsonParser parser = FACTORY.createParser(decode(data))) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new Malformed("no JSON object");
            }
            Map<String, Object> whole = new StrictJson(parser).members(1);
            if (parser.nextToken() != null) {
                throw new Malformed("something behind the JSON object");
            }
            return whole;
        } catch (IOException e) {
            throw new Malformed("not strict JSON");
        }
    }

    private static String decode(byte[] data) throws CharacterCodingException {
        return StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPORT)
                .onUnmappableCharacter(CodingErrorAction.REPORT)
                .decode(ByteBuffer.wrap(data))
                .toString();
    }

    private Map<String, Object> members(int depth) throws IOException, Malformed {
        Map<String, Object> members = new LinkedHashMap<>();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            if (members.size() == MAX_MEMBERS) {
                throw new Malformed("too many members");
            }
            String name = whole(parser.currentName());
            parser.nextToken();
            members.put(name, value(depth + 1));
        }
        return members;
    }

    private Object value(int depth) throws IOException, Malformed {
        if (depth > MAX_DEPTH) {
            throw new Malformed("too deep");
        }
        return switch (parser.currentToken()) {
            case START_OBJECT -> members(depth);
            case START_ARRAY -> elements(depth);
            case VALUE_STRING -> whole(parser.getText());
            case VALUE_NUMBER_INT -> integer(parser.getText());
            case VALUE_NUMBER_FLOAT -> Other.NUMBER;
            default -> Other.LITERAL;
        };
    }

    private List<Object> elements(int depth) throws IOException, Malformed {
        List<Object> elements = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            elements.add(value(depth + 1));
        }
        return elements;
    }

    private static Object integer(String text) {
        try {
            return text.equals("-0") ? Other.NUMBER : Long.valueOf(text);
        } catch (NumberFormatException e) {
            return Other.NUMBER;
        }
    }

    /** Refuses half a surrogate pair, which readers replace each by something else. */
    private static String whole(String text) throws Malformed {
        for (int i = 0; i < text.length(); i++) {
            char unit = text.charAt(i);
            if (Character.isHighSurrogate(unit)
                    && i + 1 < text.length()
                    && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(unit)) {
                throw new Malformed("half a surrogate pair");
            }
        }
        return text;
    }
}
