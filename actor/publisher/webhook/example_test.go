package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher"
	"github.com/protoactor-contrib/protoactor-outbox/actor/publisher/webhook"
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
