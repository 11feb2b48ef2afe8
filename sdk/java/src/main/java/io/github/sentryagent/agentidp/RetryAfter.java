package io.github.sentryagent.agentidp;

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.util.regex.Pattern;

/** The header {@code Retry-After} (RFC 9110 section 10.2.3): seconds, or a date, which counts from the answer's own. */
final class RetryAfter {
    /** More is as much as this: no caller has to fear an overflow. */
    static final Duration LONGEST = Duration.ofDays(366);

    private static final Pattern SECONDS = Pattern.compile("[0-9]+");
    private static final int LONGEST_DIGITS = 18; // of what surely is a long

    private RetryAfter() {}

    /** Zero when it names no time ahead. */
    static Duration of(Transport.Answer answer) {
        String text = answer.header("Retry-After").strip();
        Duration length = SECONDS.matcher(text).matches() ? seconds(text) : untilDate(text, answer.header("Date"));
        if (length.isNegative()) {
            return Duration.ZERO;
        }
        return length.compareTo(LONGEST) > 0 ? LONGEST : length;
    }

    private static Duration seconds(String digits) {
        return digits.length() > LONGEST_DIGITS ? LONGEST : Duration.ofSeconds(Long.parseLong(digits));
    }

    private static Duration untilDate(String text, String sent) {
        Instant until = date(text);
        Instant from = date(sent);
        return until == null ? Duration.ZERO : Duration.between(from == null ? Instant.now() : from, until);
    }

    private static Instant date(String text) {
        try {
            return DateTimeFormatter.RFC_1123_DATE_TIME.parse(text, Instant::from);
        } catch (DateTimeException e) {
            return null;
        }
    }
}
