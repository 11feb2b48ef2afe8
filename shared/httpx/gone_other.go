//go:build !unix

package httpx

func ended(uintptr) bool { return false }
