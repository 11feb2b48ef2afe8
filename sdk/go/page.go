package agentidp

import (
	"context"
	"iter"
	"net/url"
	"strconv"
)

// pageSize is the most that the API gives at once.
const pageSize = 100

// Page is which part of a list is asked for.
type Page struct {
	Number int // from 1; 0: the first
	Limit  int // entries a page, up to 100; 0: 20
}

// List is one page of a list.
type List[T any] struct {
	Data  []T `json:"data"`
	Total int `json:"total"` // entries on all pages
	Page  int `json:"page"`
	Limit int `json:"limit"`
}

func (p Page) into(query url.Values) url.Values {
	if p.Number > 0 {
		query.Set("page", strconv.Itoa(p.Number))
	}
	if p.Limit > 0 {
		query.Set("limit", strconv.Itoa(p.Limit))
	}
	return query
}

// pages walks a list from its first page to its last. What is added or
// removed meanwhile may appear twice or not at all. An error ends the walk.
func pages[T any](ctx context.Context, page func(context.Context, Page) (List[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for number, seen := 1, 0; ; number++ {
			list, err := page(ctx, Page{Number: number, Limit: pageSize})
			if err != nil {
				yield(none, err)
				return
			}
			for _, entry := range list.Data {
				if !yield(entry, nil) {
					return
				}
			}
			seen += len(list.Data)
			if len(list.Data) < pageSize || seen >= list.Total {
				return
			}
		}
	}
}

// cursors walks a list by the cursor that each page gives for the next. An error
// ends the walk.
func cursors[T any](page func(cursor string) (data []T, next string, err error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for cursor := ""; ; {
			data, next, err := page(cursor)
			if err != nil {
				yield(none, err)
				return
			}
			for _, entry := range data {
				if !yield(entry, nil) {
					return
				}
			}
			if cursor = next; cursor == "" {
				return
			}
		}
	}
}

// set adds the parameters that have a value.
func set(query url.Values, pairs ...string) url.Values {
	for ; len(pairs) > 1; pairs = pairs[2:] {
		if pairs[1] != "" {
			query.Set(pairs[0], pairs[1])
		}
	}
	return query
}
