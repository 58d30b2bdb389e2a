package journal

import (
	"errors"
	"fmt"

	"github.com/protoactor-contrib/protoactor-outbox/persistence/query"
)

// ValidateRecords returns nil if every record can be stored. Otherwise its error says which one cannot, counted from 1,
// and why, and wraps [query.ErrInvalidID] or [ErrNotEncodable]. Journals call it before they store any.
func ValidateRecords(records []Record) error {
	var errs []error
	for i := range records {
		if err := records[i].validate(); err != nil {
			errs = append(errs, fmt.Errorf("record %d: %w", i+1, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Record) validate() error {
	if err := query.ValidateID(r.PersistenceID); err != nil {
		return err
	}
	switch {
	case r.Type == "":
		return fmt.Errorf("%w: its type is empty, so that nobody could tell what has happened to %q", ErrNotEncodable, r.PersistenceID)
	case !isText(r.Type):
		return fmt.Errorf("%w: its type %q is not valid UTF-8 without NUL", ErrNotEncodable, r.Type)
	case !isText(r.ContentType):
		return fmt.Errorf("%w: its content type %q is not valid UTF-8 without NUL", ErrNotEncodable, r.ContentType)
	}
	return checkText(r.Tags, r.Metadata)
}
