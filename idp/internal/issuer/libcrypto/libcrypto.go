//go:build libcrypto

package libcrypto

/*
#cgo LDFLAGS: -lcrypto
#cgo noescape agentidp_sign
#cgo nocallback agentidp_sign
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

// OpenSSL keeps its errors per thread, and Go may go on in another one after
// each call: an error is read in the call that made it.
static void agentidp_error(char *text, size_t size) {
	ERR_error_string_n(ERR_peek_last_error(), text, size);
	ERR_clear_error();
}

static EVP_PKEY *agentidp_open(const unsigned char *der, long size, char *text, size_t textSize) {
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &der, size);
	if (key == NULL)
		agentidp_error(text, textSize);
	return key;
}

static EVP_PKEY_CTX *agentidp_context(EVP_PKEY *key, char *text, size_t textSize) {
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	if (ctx != NULL && EVP_PKEY_sign_init(ctx) > 0 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) > 0)
		return ctx;
	agentidp_error(text, textSize);
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

static int agentidp_sign(EVP_PKEY_CTX *ctx, unsigned char *signature, size_t size, const unsigned char *digest, char *text, size_t textSize) {
	size_t written = size;
	if (EVP_PKEY_sign(ctx, signature, &written, digest, 32) > 0 && written == size)
		return 1;
	agentidp_error(text, textSize);
	return 0;
}
*/
import "C"

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"
)

// Name of the backend.
const Name = "libcrypto"

// Available reports whether this binary holds libcrypto.
const Available = true

const errorText = 160 // bytes

// signer is a key of OpenSSL's. Contexts that wait for the next signature are in idle.
type signer struct {
	public *rsa.PublicKey
	key    *C.EVP_PKEY
	idle   chan *C.EVP_PKEY_CTX
}

// Open gives a signer that makes RSASSA-PKCS1-v1_5 signatures over SHA-256
// digests, and no others. It is safe for concurrent use, and what it holds
// outside Go's memory goes when it is forgotten.
func Open(private *rsa.PrivateKey) (crypto.Signer, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	var text [errorText]C.char
	key := C.agentidp_open((*C.uchar)(unsafe.Pointer(&der[0])), C.long(len(der)), &text[0], errorText)
	if key == nil {
		return nil, failure("key", &text)
	}
	s := &signer{public: &private.PublicKey, key: key, idle: make(chan *C.EVP_PKEY_CTX, runtime.GOMAXPROCS(0))}
	runtime.AddCleanup(s, func(idle chan *C.EVP_PKEY_CTX) {
		for len(idle) > 0 {
			C.EVP_PKEY_CTX_free(<-idle)
		}
		C.EVP_PKEY_free(key)
	}, s.idle)
	return s, nil
}

// Public implements crypto.Signer.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer. Blinding and the check of the result against
// faults are OpenSSL's.
func (s *signer) Sign(_ io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	if _, pss := options.(*rsa.PSSOptions); pss || options.HashFunc() != crypto.SHA256 || len(digest) != sha256.Size {
		return nil, errors.New("libcrypto: signs SHA-256 digests with PKCS #1 v1.5 only")
	}
	defer runtime.KeepAlive(s)
	context, err := s.context()
	if err != nil {
		return nil, err
	}
	var text [errorText]C.char
	signature := make([]byte, s.public.Size())
	ok := C.agentidp_sign(context, (*C.uchar)(unsafe.Pointer(&signature[0])), C.size_t(len(signature)), (*C.uchar)(unsafe.Pointer(&digest[0])), &text[0], errorText)
	if ok == 0 {
		C.EVP_PKEY_CTX_free(context)
		return nil, failure("sign", &text)
	}
	select {
	case s.idle <- context:
	default:
		C.EVP_PKEY_CTX_free(context)
	}
	return signature, nil
}

func (s *signer) context() (*C.EVP_PKEY_CTX, error) {
	select {
	case context := <-s.idle:
		return context, nil
	default:
	}
	var text [errorText]C.char
	context := C.agentidp_context(s.key, &text[0], errorText)
	if context == nil {
		return nil, failure("context", &text)
	}
	return context, nil
}

func failure(step string, text *[errorText]C.char) error {
	return fmt.Errorf("libcrypto: %s: %s", step, C.GoString(&text[0]))
}
