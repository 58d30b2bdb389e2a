package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheSampleIsWhatItsGeneratorWrites(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, writeSample(&b))
	require.Equal(t, b.String(), sample, "write it anew: go run . sample > sample.jsonl")
}

func TestWhatIsNoCommand(t *testing.T) {
	for text, says := range map[string]string{
		`{"order":"o-1","command":"pla`:                                      "cut off",
		`["order"]`:                                                          "cannot unmarshal",
		`{"order":"o-1","command":"place"} {}`:                               "more than one JSON value",
		`{"order":"o-1","command":"place","prize":1}`:                        `unknown field "prize"`,
		`{"command":"place"}`:                                                `"order" is missing`,
		`{"order":"\u0000","command":"place"}`:                               "NUL",
		`{"order":"` + strings.Repeat("o", 1025) + `","command":"place"}`:    "1025 bytes",
		`{"order":"o-1"}`:                                                    `"command" is missing`,
		`{"order":"o-1","command":"dance"}`:                                  "must be place, add, pay, ship or cancel",
		`{"order":"o-1","command":"add"}`:                                    `"item" is missing`,
		`{"order":"o-1","command":"add","item":"tea","quantity":-1}`:         `"quantity" is -1`,
		`{"order":"o-1","command":"add","item":"tea","price_cents":1e9}`:     "cannot unmarshal",
		`{"order":"o-1","command":"add","item":"tea","price_cents":1000001}`: "",
		`{"order":"o-1","command":"add","item":"tea","price_cents":-5}`:      `"price_cents" is -5`,
	} {
		_, err := parseCommand(1, []byte(text))
		if says == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, says, text)
	}
}

func TestACommandWithoutAnIDGetsTheSameOneEveryTime(t *testing.T) {
	parse := func(line int, text string) string {
		c, err := parseCommand(line, []byte(text))
		require.NoError(t, err)
		return c.ID
	}
	const place = `{"order":"o-1","command":"place"}`
	require.Equal(t, parse(3, place), parse(3, place))
	require.NotEqual(t, parse(3, place), parse(4, place), "the same command once more is another command")
	require.NotEqual(t, parse(3, place), parse(3, `{"order":"o-2","command":"place"}`))
	require.Equal(t, "c-1", parse(3, `{"id":"c-1","order":"o-1","command":"place"}`))
}

func TestALineThatIsTooLongIsPassedOver(t *testing.T) {
	const place = `{"id":"c","order":"o","command":"place"}`
	long := strings.Repeat("x", maxLine+1)
	var got []string
	for c, err := range commands(strings.NewReader(place + "\n" + long + "\n\n" + place + "\r\n" + long)) {
		if err != nil {
			got = append(got, err.Error())
		} else {
			got = append(got, c.ID)
		}
	}
	require.Equal(t, []string{
		"c",
		"line 2: it is longer than 1048576 bytes",
		"c",
		"line 5: it is longer than 1048576 bytes",
	}, got)
}
