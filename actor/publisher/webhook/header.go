package webhook

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// addHeader adds an application's header, under its canonical name.
func addHeader(to http.Header, name, value string) error {
	canonical := textproto.CanonicalMIMEHeaderKey(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is no name of a header", name)
	case !httpguts.ValidHeaderFieldValue(value):
		// Without the value, which may be a secret.
		return fmt.Errorf("the value of %q has a character that a header cannot hold", name)
	case ownHeader(canonical):
		return fmt.Errorf("the header %q is set by the webhook", name)
	}
	to[canonical] = append(to[canonical], value)
	return nil
}

// ownHeader reports whether the event, the signature or the transfer sets the header.
func ownHeader(canonical string) bool {
	switch canonical {
	case "Host", "Content-Type", "Content-Length", "Transfer-Encoding", "Trailer", "Te", "Connection", "Upgrade":
		return true
	}
	return strings.HasPrefix(canonical, "Ce-") || strings.HasPrefix(canonical, "Webhook-")
}

// isCredential reports whether the header is one that only its own receiver may see.
func isCredential(canonical string) bool {
	switch canonical {
	case "Authorization", "Proxy-Authorization", "Cookie":
		return true
	}
	return false
}
