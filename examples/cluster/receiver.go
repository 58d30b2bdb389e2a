package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// receiver is the world outside the shop, where events are published to. It outlives all members.
type receiver struct {
	url    string
	server *http.Server
	served chan error
}

// openReceiver records the events of the persistence ids that begin with prefix. Others are left over by an earlier run
// that was interrupted: they are acknowledged, and that is all.
func openReceiver(ctx context.Context, prefix string, to *receipts) (*receiver, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	r := &receiver{
		url: "http://" + listener.Addr().String(), served: make(chan error, 1),
		server: &http.Server{Handler: receive(prefix, to), ReadHeaderTimeout: 10 * time.Second},
	}
	go func() { r.served <- r.server.Serve(listener) }()
	return r, nil
}

func (r *receiver) close() error {
	err := r.server.Close()
	if served := <-r.served; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// receive records each event, and then acknowledges it.
func receive(prefix string, to *receipts) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // the sender has died while it was sending: this was no delivery
		}
		got, err := receiptOf(r.Header, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if strings.HasPrefix(got.persistenceID, prefix) {
			to.add(got)
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// receiptOf reads the attributes of a CloudEvent.
func receiptOf(h http.Header, at time.Time) (receipt, error) {
	r := receipt{at: at}
	var errs [4]error
	r.persistenceID, errs[0] = url.PathUnescape(h.Get("Ce-Subject"))
	r.sequenceNumber, errs[1] = strconv.ParseInt(h.Get("Ce-Sequence"), 10, 64)
	r.epoch, errs[2] = strconv.ParseInt(h.Get("Ce-Epoch"), 10, 64)
	r.shard, errs[3] = shardOf(h.Get("Ce-Source"))
	return r, errors.Join(errs[:]...)
}

// shardOf reads who has sent an event. The source is the URI "/outbox/shop-3%2F8" for the fourth of eight shards, and encoded
// once more as any attribute is in a header.
func shardOf(source string) (string, error) {
	uri, err := url.PathUnescape(source)
	if err != nil {
		return "", err
	}
	name, err := url.PathUnescape(strings.TrimPrefix(uri, "/outbox/"))
	if err != nil {
		return "", err
	}
	shard, _, ok := strings.Cut(name, "/")
	if !ok {
		return "", fmt.Errorf("ce-source %q is no shard", source)
	}
	return shard, nil
}
