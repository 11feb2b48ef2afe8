// Package libcrypto signs with OpenSSL's libcrypto, which takes less than half
// of the time of crypto/rsa on CPUs with AVX-512 IFMA. It is in binaries that
// were built with cgo and the tag libcrypto (make build-libcrypto).
package libcrypto
