// Package webhook publishes events to a URL ([New]), or to one for each customer ([NewRouter]): one CloudEvents 1.0
// event per HTTP POST.
//
// It owns the mapping of an event to a request, the reading of the answer ([Webhook.Publish]), and the destinations
// with what keeps them apart. It promises order within a persistence id and concurrency across ids, also where an id's
// events go to different destinations; that a destination which hangs takes no more than its share of the requests; and
// that no error shows a credential, a URL's path, or more of what a receiver has said than was asked for. It never
// follows a redirect, and never retries by itself, but for one request with another token after a 401. It keeps nothing
// of a destination that is idle and has answered.
//
// # Request
//
// An event has these attributes. In binary mode ([Binary]) each is a header with ce- before its name, and the body is
// the data as it is; in structured mode ([Structured]) each is a member of a JSON object, which is the body.
//
//	attribute      value
//	specversion    1.0
//	id             <persistence id>/<sequence number>, the same at every delivery; publisher.Map may add #<n>
//	source         /outbox/<name>, or what WithSource says
//	type           the event's type: the full name of its protobuf message, or what it was mapped to
//	subject        the persistence id
//	time           when the journal wrote the event, RFC 3339
//	sequence       the sequence number in 19 digits, with leading zeros: the sequence extension demands
//	               values that sort as text; it counts within the subject
//	epoch          the outbox's fencing token, decimal: a greater one replaces the owner with a smaller one
//	traceparent    the trace context in the event's metadata, where there is one (distributed tracing
//	tracestate     extension); in structured mode only if it is UTF-8
//
//	header             binary mode                  structured mode
//	content-type       the content type of the data application/cloudevents+json; charset=UTF-8
//	webhook-id         with secrets: the id, percent-encoded like the headers below, and its full stops too
//	webhook-timestamp  with secrets: when this attempt was made, in Unix seconds
//	webhook-signature  with secrets: v1,<base64 of HMAC-SHA256>, one for each, separated by spaces
//	authorization      with a token: Bearer and the token; with a user in the URL: Basic
//	user-agent         protoactor-outbox, unless WithHeader or Destination.Header has one
//
// In structured mode the data's content type is the member datacontenttype, and data that is JSON (application/json,
// …+json) is the member data, as it is. Any other, and what is called JSON but is not, is data_base64.
//
// In binary mode, header values are percent-encoded as the CloudEvents HTTP binding demands, so that a persistence id may
// contain anything, line breaks included. Receivers decode them once; of the CloudEvents SDKs the one for Go leaves that
// to its user, and reads data of a content type …+json only in binary mode.
//
// # Answer
//
//	answer                                the event is            the destination
//	2xx                                   delivered               has answered
//	400, 406, 409, 413, 415, 422, 431     rejected for good       has answered
//	502, 504                              retried                 has not answered: its gateway says so
//	401 with a token                      sent once more, if the  has answered
//	                                      token is another then
//	any other status, 3xx included        retried                 has answered
//	no connection, or an untrusted one    retried                 has not answered
//	none, none in time, 1xx               unknown, so sent again  has not answered
//	no token, a failed lookup,            retried                 was not asked
//	a Destination that is not valid
//
// Retry-After, in seconds or as a date, is honoured with every status that is retried, up to one hour. [WithVerdict]
// replaces the second column.
//
// # Options
//
//	option                      default                          for
//	WithTimeout                 10 s                             one request
//	WithConcurrency             32, NewRouter 256                requests at the same time
//	WithDestinationConcurrency  8                                those of one destination; NewRouter only
//	WithMode                    Binary; Structured with secrets  how an event is laid out
//	                            and for NewRouter
//	WithSource                  /outbox/<name>                   the attribute source
//	WithHeader                                                   headers of every request
//	WithSecrets                                                  signatures; New only
//	WithBearerToken                                              a token that does not change; New only
//	WithTokenFunc                                                one that does; New only
//	WithTLSConfig               Go's                             certificates, authorities, versions
//	WithAddressFilter           all addresses                    PublicOnly, for URLs from customers
//	WithHTTPSOnly               http too                         likewise
//	WithVerdict                 the table above                  other rules, and what to note
//	WithExcerpt                 0 bytes                          an answer's text in errors
//	WithClock                   time.Now                         timestamps, dates in Retry-After
//	WithTransport               a copy of Go's                   tracing, tests
package webhook
