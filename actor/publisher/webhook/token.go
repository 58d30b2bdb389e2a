package webhook

import (
	"context"
	"errors"
	"strings"
)

// TokenFunc returns the bearer token to send. It is called for every request, concurrently, so it keeps its token and
// asks for a new one only when that is about to expire, as golang.org/x/oauth2's sources do.
//
// refused is "" as a rule. After an answer of 401 it is the token that was refused, and the function gets a new one; if
// it returns another than that, the request is made once more, with it. An error leaves the event to be sent later.
type TokenFunc func(ctx context.Context, refused string) (token string, err error)

// StaticToken always returns the same token.
func StaticToken(token string) TokenFunc {
	return func(context.Context, string) (string, error) { return token, nil }
}

// bearer asks for a token, which is never shown, also if it is wrong.
func (f TokenFunc) bearer(ctx context.Context, refused string) (string, error) {
	token, err := f(ctx, refused)
	if err == nil {
		err = checkToken(token)
	}
	return token, err
}

func checkToken(token string) error {
	switch {
	case token == "":
		return errors.New("the bearer token is empty")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("the bearer token has a character other than printable ASCII, or a space")
	}
	return nil
}
