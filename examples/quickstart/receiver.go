package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"
)

// runReceiver is "quickstart receiver": the world outside the shop, in a process of its own.
func runReceiver(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("quickstart receiver", flag.ContinueOnError)
	var (
		listen   = flags.String("listen", "127.0.0.1:0", "`address` to listen on")
		state    = flags.String("state", "received.log", "`file` that every receipt is appended to")
		untilEOF = flags.Bool("until-eof", false, "stop when stdin ends, and not at a signal: when the process that started it ends, however it ends")
	)
	if err := parseFlags(flags, args, ""); err != nil {
		return err
	}
	if *untilEOF {
		ctx = untilEnd(os.Stdin)
	}
	log, err := openReceiptLog(*state)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return errors.Join(err, log.close())
	}
	server := &http.Server{Handler: receive(log), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Printf("http://%s\n", listener.Addr())

	select {
	case err = <-served:
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = server.Shutdown(grace)
	}
	return errors.Join(err, log.close())
}

// untilEnd returns a context that ends when r does.
func untilEnd(r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, r) // an error is an end, too
	}()
	return ctx
}

// receive records each event, and then acknowledges it.
func receive(log *receiptLog) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "events come by POST", http.StatusMethodNotAllowed)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // so that the connection can be used again
		id, err := url.PathUnescape(r.Header.Get("Ce-Subject"))
		if err != nil || id == "" {
			http.Error(w, "ce-subject must be the persistence id", http.StatusBadRequest)
			return
		}
		sequenceNumber, err := strconv.ParseInt(r.Header.Get("Ce-Sequence"), 10, 64)
		if err != nil {
			http.Error(w, "ce-sequence must be the sequence number", http.StatusBadRequest)
			return
		}
		if err := log.record(id, sequenceNumber, time.Now()); err != nil {
			http.Error(w, "the receipt cannot be written", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}
