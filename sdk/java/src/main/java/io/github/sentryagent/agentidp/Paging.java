package io.github.sentryagent.agentidp;

import com.fasterxml.jackson.databind.JavaType;
import io.github.sentryagent.agentidp.model.Page;
import java.util.function.IntFunction;

/** Lists whose pages have numbers. What is added or removed meanwhile may appear twice or not at all. */
final class Paging {
    private Paging() {}

    static JavaType of(Class<?> entry) {
        return Json.MAPPER.getTypeFactory().constructParametricType(Page.class, entry);
    }

    static <T> Listing<T> byNumber(IntFunction<Page<T>> pages) {
        return new Listing<>(name -> {
            int number = name == null ? 1 : Integer.parseInt(name);
            Page<T> page = pages.apply(number);
            boolean more = !page.data().isEmpty() && (long) number * page.limit() < page.total();
            return new Listing.Part<>(page.data(), more ? String.valueOf(number + 1) : null);
        });
    }
}
