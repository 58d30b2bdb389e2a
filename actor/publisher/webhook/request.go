package webhook

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"

	"golang.org/x/net/http/httpguts"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
)

// agent is the user agent, unless the application sets one.
const agent = "protoactor-outbox"

// request makes the request that delivers an event. Its error says that the event fits into none.
func (w *Webhook) request(ctx context.Context, e *publisher.Event, to *target, token string) (*http.Request, error) {
	body, contentType := e.Data, e.ContentType
	if w.settings.mode == Structured {
		var err error
		if body, err = w.settings.structured(e); err != nil {
			return nil, err
		}
		contentType = structuredType
	} else if !httpguts.ValidHeaderFieldValue(e.ContentType) { // the only value that the HTTP binding does not encode
		return nil, fmt.Errorf("its content type %q has a character that a header cannot hold", e.ContentType)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.URL.User = nil // it goes into a header, and not into what a transport may log
	h := r.Header
	h["User-Agent"] = []string{agent}
	maps.Copy(h, to.header)
	if w.settings.mode == Binary {
		for _, a := range w.settings.attributes(e) {
			h[a.header] = []string{encode(a.value)}
		}
	}
	if contentType != "" {
		h["Content-Type"] = []string{contentType}
	}
	switch {
	case to.token != nil:
		h["Authorization"] = []string{"Bearer " + token}
	case to.user != nil:
		password, _ := to.user.Password()
		r.SetBasicAuth(to.user.Username(), password)
	}
	if len(to.secrets) > 0 {
		if err := signature.Sign(h, messageID(e), w.settings.now(), body, to.secrets...); err != nil {
			return nil, err
		}
	}
	return r, nil
}
