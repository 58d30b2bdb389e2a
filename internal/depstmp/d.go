package depstmp

import (
	_ "github.com/asynkron/protoactor-go/actor"
	_ "github.com/asynkron/protoactor-go/persistence"
	_ "github.com/asynkron/protoactor-go/remote"
	_ "github.com/asynkron/protoactor-go/scheduler"
	_ "go.opentelemetry.io/otel"
	_ "go.opentelemetry.io/otel/propagation"
	_ "go.opentelemetry.io/otel/metric"
	_ "golang.org/x/net/http2"
	_ "google.golang.org/grpc"
)
