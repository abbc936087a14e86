// Life cycles a second of River, a queue on Postgres for Go, with the settings of its own benchmark:
// jobs of 200 bytes are enqueued in batches with nobody working, then drained by a handler that does
// nothing. A run ends when every job is durably completed. Prints one line of name=value.
//
// life_cycle_rate takes both halves: 1 / (1/enqueue_rate + 1/drain_rate).
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

const (
	connections   = 16
	batchSize     = 5000
	maxWorkers    = 2000
	fetchCooldown = 2 * time.Millisecond
	fetchPoll     = 20 * time.Millisecond
	payloadBytes  = 200
	// Between two looks at whether everything is done: short against a drain of seconds.
	look = 5 * time.Millisecond
)

type args struct {
	Payload string `json:"payload"`
}

func (args) Kind() string { return "noop" }

type worker struct {
	river.WorkerDefaults[args]
	worked atomic.Int64
}

func (w *worker) Work(context.Context, *river.Job[args]) error {
	w.worked.Add(1)
	return nil
}

func connect(ctx context.Context, dsn string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = connections
	return pgxpool.NewWithConfig(ctx, config)
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func newClient(pool *pgxpool.Pool, w *worker) (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	return river.NewClient(riverpgxv5.New(pool), &river.Config{
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: fetchPoll,
		Logger:            slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: maxWorkers}},
		Workers:           workers,
	})
}

// Time to insert that many batches.
func enqueue(ctx context.Context, client *river.Client[pgx.Tx], batches int64) (time.Duration, error) {
	batch := make([]river.InsertManyParams, batchSize)
	for i := range batch {
		batch[i].Args = args{Payload: strings.Repeat("x", payloadBytes)}
	}
	start := time.Now()
	for range batches {
		if _, err := client.InsertManyFast(ctx, batch); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// Time until every job is completed in the database, not only worked.
func drain(ctx context.Context, pool *pgxpool.Pool, client *river.Client[pgx.Tx], w *worker,
	jobs int64) (time.Duration, error) {
	start := time.Now()
	if err := client.Start(ctx); err != nil {
		return 0, err
	}
	for w.worked.Load() < jobs && ctx.Err() == nil {
		time.Sleep(look)
	}
	for left := jobs; left > 0; {
		err := pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state <> 'completed'").Scan(&left)
		if err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	return took, client.Stop(ctx)
}

func run() error {
	dsn := flag.String("dsn", "", "an empty database")
	batches := flag.Int64("batches", 20, "how many to enqueue, of 5000 jobs each")
	limit := flag.Duration("limit", 2*time.Minute, "give up after this")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	defer cancel()

	pool, err := connect(ctx, *dsn)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := migrate(ctx, pool); err != nil {
		return err
	}
	// No write of an earlier run is left for this one to pay.
	if _, err := pool.Exec(ctx, "CHECKPOINT"); err != nil {
		return err
	}
	w := &worker{}
	client, err := newClient(pool, w)
	if err != nil {
		return err
	}
	enqueueTook, err := enqueue(ctx, client, *batches)
	if err != nil {
		return err
	}
	jobs := *batches * batchSize
	drainTook, err := drain(ctx, pool, client, w, jobs)
	if err != nil {
		return err
	}
	n := float64(jobs)
	fmt.Printf("jobs=%d enqueue_rate=%.0f drain_rate=%.0f life_cycle_rate=%.0f\n", jobs,
		n/enqueueTook.Seconds(), n/drainTook.Seconds(), n/(enqueueTook+drainTook).Seconds())
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}
