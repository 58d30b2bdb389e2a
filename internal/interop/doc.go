// Package interop tests that the software of others reads what we send: the CloudEvents SDK a webhook's events, in both
// content modes, and the library of Standard Webhooks its signatures.
//
// It has tests alone, and is a module of its own because of what they need.
package interop
