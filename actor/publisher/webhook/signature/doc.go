// Package signature signs webhooks, and verifies them, as Standard Webhooks 1.0.0 says
// (https://www.standardwebhooks.com): with HMAC-SHA256 over id, timestamp and body, so that the libraries which exist
// for that in other languages verify what this one has signed.
//
// It owns the secrets ([Secret]), the three headers ([Sign]) and their verification ([Verifier]). It promises that a
// comparison takes no longer for a better guess, that a signature stands for the very bytes of the body, and that no
// secret is shown by an error, or by printing a [Secret]. It never reads a request, decodes a body, or remembers an id:
// a receiver that must not act twice on the same event remembers the ids itself.
//
// It imports the standard library alone, so that a receiver pays for nothing else.
package signature
