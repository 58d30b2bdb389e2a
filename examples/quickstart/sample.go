package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
)

// What the sample is made of. It is always the same: sample.jsonl is this function's output.
const (
	sampleOrders = 520
	sampleLines  = 4000
	sampleSeed   = 20
)

// writeSample writes commands for many orders, mixed as they would come in. Some are refused, by the order's rules,
// and one line is no command at all.
func writeSample(w io.Writer) error {
	random := rand.New(rand.NewPCG(sampleSeed, 0))
	type life struct {
		name  string
		total int64
		items int
		step  int // 0: to be placed, 1: open, 2: paid, 3: at its end
	}
	lives := make([]life, sampleOrders)
	for i := range lives {
		lives[i].name = fmt.Sprintf("o-%d", i+1)
	}
	encoder := json.NewEncoder(w)
	for line := 1; line <= sampleLines; line++ {
		if line == sampleLines/3 {
			if _, err := fmt.Fprintf(w, `{"id":"c-%d","order":"o-17","command":"ad`+"\n", line); err != nil {
				return err
			}
			continue
		}
		o := &lives[random.IntN(len(lives))]
		for o.step == 3 && random.IntN(8) > 0 {
			o = &lives[random.IntN(len(lives))]
		}
		c := command{ID: fmt.Sprintf("c-%d", line), Order: o.name}
		switch {
		case o.step == 0:
			c.Command, c.Customer = "place", pick(random, "Ada", "Barbara", "Edsger", "Grace", "Tony")
			o.step = 1
		case o.step == 1 && o.items < 3+random.IntN(5):
			c.Command, c.Item = "add", pick(random, "bread", "coffee", "jam", "salt", "tea")
			c.Quantity, c.PriceCents = 1+random.Int64N(4), 100+25*random.Int64N(40)
			o.total += c.Quantity * c.PriceCents
			o.items++
		case o.step < 3 && random.IntN(12) == 0:
			c.Command, c.Reason = "cancel", pick(random, "changed my mind", "too late", "wrong address")
			o.step = 3
		case o.step == 1:
			c.Command, c.AmountCents = "pay", o.total
			if random.IntN(15) == 0 {
				c.AmountCents -= 5 // refused
			} else {
				o.step = 2
			}
		case o.step == 2:
			c.Command, c.Carrier = "ship", pick(random, "bike", "rail", "road")
			o.step = 3
		default: // refused: the order is at its end
			c.Command, c.Item, c.PriceCents = "add", "salt", 100
		}
		if err := encoder.Encode(c); err != nil {
			return err
		}
	}
	return nil
}

func pick(random *rand.Rand, from ...string) string { return from[random.IntN(len(from))] }
