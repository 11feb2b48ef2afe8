//go:build !amd64

package token

const hasIFMA = false

func montgomery52(_, _, _, _ *digits, _ uint64) { panic("token: no such instructions") }
