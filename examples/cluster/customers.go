package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// customers send commands, each to an order of his own: the next one when the one before was answered. They know where the
// members are, not which of them live: who gets no answer sends the same command to the next one.
type customers struct {
	fronts []string
	client *http.Client
	cancel context.CancelFunc
	done   sync.WaitGroup

	// answered counts commands, again how often one had to be sent once more.
	answered, again atomic.Int64
	mu              sync.Mutex
	last            map[string]int64 // by persistence id: the last one that was confirmed
	err             error            // of an answer that must not be
}

// orderNames are those of so many customers, dealt out so that every shard has some.
func orderNames(prefix string, customers, shards int) (names []string) {
	had := make([]int, shards)
	for n := 0; len(names) < customers; n++ {
		name := fmt.Sprintf("%s%d", prefix, n)
		// The shard, but for ids at its edge.
		if shard := int(query.SliceOf(orderID(name))) * shards / query.NumSlices; had[shard] <= len(names)/shards {
			had[shard]++
			names = append(names, name)
		}
	}
	return names
}

// openShop lets the customers of these orders in, who send a command every beat or so.
func openShop(orders []string, beat time.Duration, fronts []string) *customers {
	ctx, cancel := context.WithCancel(context.Background())
	cs := &customers{
		fronts: fronts, cancel: cancel, last: map[string]int64{},
		client: &http.Client{Timeout: answerWithin + time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: len(orders)}},
	}
	for _, order := range orders {
		cs.done.Go(func() { cs.shop(ctx, order, beat) })
	}
	return cs
}

// close sends nobody away who waits for an answer. It fails if there was one that must not be.
func (cs *customers) close() error {
	cs.cancel()
	cs.done.Wait()
	cs.client.CloseIdleConnections()
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.err
}

// shop is one customer.
func (cs *customers) shop(ctx context.Context, order string, beat time.Duration) {
	for n := int64(1); pause(ctx, beat/2+rand.N(beat)); n++ {
		body, err := json.Marshal(command{ID: fmt.Sprintf("c-%d", n), Item: "tea", Quantity: 1})
		if err != nil {
			cs.wrong(err)
			return
		}
		number, err := cs.insist(order, body)
		if err != nil {
			cs.wrong(err)
			return
		}
		cs.confirmed(order, n, number)
	}
}

// insist sends a command until it is answered, here or there.
func (cs *customers) insist(order string, body []byte) (sequenceNumber int64, err error) {
	began := time.Now()
	for try := rand.IntN(len(cs.fronts)); ; try++ {
		sequenceNumber, err = cs.send(cs.fronts[try%len(cs.fronts)], order, body)
		switch {
		case err == nil:
			return sequenceNumber, nil
		case time.Since(began) > patience:
			return 0, fmt.Errorf("order %s has not answered for %v: %w", order, patience, err)
		}
		cs.again.Add(1)
		time.Sleep(50 * time.Millisecond)
	}
}

func (cs *customers) send(front, order string, body []byte) (sequenceNumber int64, err error) {
	// Not to be cancelled: the command may have been carried out, and then it counts.
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, front+"/orders/"+order, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	response, err := cs.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", response.Status, text)
	}
	var answer confirmation
	return answer.SequenceNumber, errors.Join(err, json.Unmarshal(text, &answer))
}

// confirmed checks that a customer's n-th command is his order's n-th event, however often it was sent.
func (cs *customers) confirmed(order string, n, sequenceNumber int64) {
	cs.answered.Add(1)
	if n != sequenceNumber {
		cs.wrong(fmt.Errorf("command %d of order %s was answered to be event %d", n, order, sequenceNumber))
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.last[orderID(order)] = n
}

func (cs *customers) wrong(err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.err = errors.Join(cs.err, err)
}

// pause waits, and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
