package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/asynkron/protoactor-go/cluster"

	shopv1 "github.com/protoactor-contrib/protoactor-outbox/examples/cluster/shop/v1"
	"github.com/protoactor-contrib/protoactor-outbox/outbox/shards"
)

// front is what a member has for the world: it takes the customers' commands for any order, wherever that is, and says how
// the shards of the outbox are.
type front struct {
	cluster *cluster.Cluster
	outbox  *shards.Client
	log     *slog.Logger
	server  *http.Server
}

// answerWithin is how long an order may take. A customer who hears nothing asks again, here or elsewhere.
const answerWithin = 2 * time.Second

func openFront(ctx context.Context, address string, c *cluster.Cluster, outbox *shards.Client) (*front, error) {
	f := &front{cluster: c, outbox: outbox, log: c.Logger()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{order}", f.addItem)
	mux.HandleFunc("GET /shards", f.shards)
	f.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := f.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			f.log.Error("the front has closed", slog.Any("error", err))
		}
	}()
	return f, nil
}

// close lets nobody in any more, and waits a moment for the answers of those who have asked. The others ask elsewhere: an
// order whose member has died may block its lookup for five seconds.
func (f *front) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if f.server.Shutdown(ctx) == nil {
		return nil
	}
	return f.server.Close()
}

// command is what a customer sends.
type command struct {
	ID       string `json:"id"`
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
}

// confirmation is the answer: the item is in the order.
type confirmation struct {
	SequenceNumber int64 `json:"sequence_number"`
}

func (f *front) addItem(w http.ResponseWriter, r *http.Request) {
	var c command
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&c); err != nil || c.ID == "" {
		http.Error(w, "the body must be a JSON object with an id", http.StatusBadRequest)
		return
	}
	answer, err := f.cluster.Request(r.PathValue("order"), orderKind,
		&shopv1.AddItem{CommandId: c.ID, Item: c.Item, Quantity: c.Quantity}, cluster.WithTimeout(answerWithin))
	added, ok := answer.(*shopv1.Added)
	if err != nil || !ok {
		http.Error(w, fmt.Sprintf("the order does not answer; try again: %T %v", answer, err), http.StatusServiceUnavailable)
		return
	}
	f.reply(w, confirmation{added.GetSequenceNumber()})
}

func (f *front) shards(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), answerWithin)
	defer cancel()
	view := clusterView{Members: f.cluster.MemberList.Length()}
	for _, a := range f.outbox.Status(ctx) {
		view.Shards = append(view.Shards, rowOf(a))
	}
	f.reply(w, view)
}

func (f *front) reply(w http.ResponseWriter, answer any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		f.log.Warn("an answer was not sent", slog.Any("error", err)) // whoever asked has gone
	}
}
