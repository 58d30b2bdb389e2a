package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook/signature"
	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

func ExampleNew() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("ce-type"), r.Header.Get("ce-id"), r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()

	hook, err := webhook.New(receiver.URL,
		webhook.WithTimeout(5*time.Second),
		webhook.WithHeader("Authorization", "Bearer token"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hook.Close()

	// In an application: outbox.Props("shop", journal, publisher.Props(hook))
	err = hook.Publish(context.Background(), []publisher.Event{{
		Outbox: "shop",
		Event:  query.Event{PersistenceID: "order-1", SequenceNumber: 1, Type: "shop.v1.OrderPlaced"},
	}})
	fmt.Println(err)
	// Output:
	// shop.v1.OrderPlaced order-1/1 Bearer token
	// <nil>
}

// Each customer has a URL and a secret of its own; the application keeps them.
func ExampleNewRouter() {
	acme := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("acme gets", r.Header.Get("webhook-id"), "signed:", r.Header.Get("webhook-signature") != "")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer acme.Close()
	secret, err := signature.ParseSecret(signature.NewSecret())
	if err != nil {
		fmt.Println(err)
		return
	}
	customers := map[string]webhook.Destination{
		"acme": {URL: acme.URL, Secrets: []signature.Secret{secret}},
	}

	hook, err := webhook.NewRouter(
		// Who wrote the event has noted whom it is for: journal.WithMetadata, or a Record's Metadata.
		func(e publisher.Event) string { return e.Metadata["customer"] },
		func(_ context.Context, name string) (webhook.Destination, error) {
			if name == "globex" {
				return webhook.Destination{}, webhook.ErrIgnore // has no webhook
			}
			to, ok := customers[name]
			if !ok {
				return to, publisher.Permanent(fmt.Errorf("there is no customer %q", name))
			}
			return to, nil
		},
		// With URLs that customers give: webhook.WithAddressFilter(webhook.PublicOnly) and webhook.WithHTTPSOnly().
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hook.Close()

	for _, customer := range []string{"acme", "globex", "initech"} {
		err := hook.Publish(context.Background(), []publisher.Event{{
			Outbox: "shop",
			Event: query.Event{
				PersistenceID: "order-1", SequenceNumber: 1, Type: "shop.v1.OrderPlaced",
				Metadata: map[string]string{"customer": customer},
			},
		}})
		fmt.Println(customer, err)
	}
	// Output:
	// acme gets order-1/1 signed: true
	// acme <nil>
	// globex <nil>
	// initech 1 events of the batch were not published, event 0 first: permanent: look up destination "initech": there is no customer "initech"
}
