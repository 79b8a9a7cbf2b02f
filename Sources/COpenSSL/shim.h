// SHA256_Init and its companions are called "deprecated" in favour of EVP, which takes half as long again for short messages.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <openssl/err.h>
#include <openssl/rand.h>
