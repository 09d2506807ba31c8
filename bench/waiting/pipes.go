package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"countersign.dev/bench/internal/trial"
	"countersign.dev/internal/authz"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server"
	"countersign.dev/internal/storage/sqlite"
)

// pipes is a listener whose connections are pipes.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
}

// Accept waits for the server's end of the next pipe.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close takes no more of them.
func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

// Addr is an address that the server can name in its log.
func (p *pipes) Addr() net.Addr { return loopback }

var loopback = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}

// piped is the server's end of a pipe, which seems to come from loopback.
type piped struct{ net.Conn }

// RemoteAddr is what the server counts by; a pipe has no address of its own.
func (piped) RemoteAddr() net.Addr { return loopback }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.incoming <- piped{theirs}:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inMemory is onSockets with the server in this process, and what the process needs
// of Go's memory instead of what is resident: the devices' ends are in it too, but
// nothing that reads them.
func inMemory(ctx context.Context, n int) (err error) {
	dir, err := os.MkdirTemp("", "waiting-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	store, err := sqlite.Open(ctx, filepath.Join(dir, "countersign.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	const issuerURL = "http://localhost"
	service, err := issuer.New(ctx, issuer.Options{
		Store: store, Clock: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Secret: make([]byte, authz.SecretLength),
		Settings: authz.Settings{
			Issuer: issuerURL, DeviceCodeLifetime: 15 * time.Minute, PollInterval: time.Second, AccessTokenLifetime: time.Hour,
			RefreshIdleLifetime: time.Hour, RefreshLifetime: time.Hour, SessionLifetime: time.Hour, SignUp: true, PendingLimit: 1 << 30,
		},
	})
	if err != nil {
		return err
	}
	defer service.Close()
	at, err := url.Parse(issuerURL)
	if err != nil {
		return err
	}
	front, err := server.New(server.Options{Issuer: service, URL: at, Version: "bench", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	listener := &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})}
	web := &http.Server{Handler: front.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: authz.MaxWait + 30*time.Second}
	web.RegisterOnShutdown(service.Drain)
	go web.Serve(listener) //nolint:errcheck // Shutdown ends it
	return wait(ctx, n, issuerURL, listener, web)
}

func wait(ctx context.Context, n int, issuerURL string, listener *pipes, web *http.Server) error {
	c := &crowd{
		Device: trial.Device{Base: issuerURL, HTTP: &http.Client{Transport: &http.Transport{
			MaxIdleConnsPerHost: workers,
			DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return listener.dial(ctx) },
		}}},
		dial: func(ctx context.Context, _ int) (net.Conn, error) { return listener.dial(ctx) }, unread: true,
	}
	if err := c.prepare(ctx, n); err != nil {
		return err
	}
	before := memory()
	began := time.Now()
	if err := c.poll(ctx); err != nil {
		return err
	}
	fmt.Printf("%d polls wait after %.1f s, on pipes in memory\n", n, time.Since(began).Seconds())
	after := memory()
	fmt.Printf("Go's memory: %.1f MiB with the codes, %.1f MiB with the polls: %.1f KiB each\n",
		float64(before)/(1<<20), float64(after)/(1<<20), float64(after-before)/1024/float64(n))
	c.readAll()
	if err := c.approveOne(ctx, n/2); err != nil {
		return err
	}
	began = time.Now()
	if err := web.Shutdown(ctx); err != nil {
		return err
	}
	if err := c.answered(ctx); err != nil {
		return err
	}
	fmt.Printf("told to stop, the server had answered all after %.2f s\n", time.Since(began).Seconds())
	return nil
}

// memory is what Go's heap and stacks use, in bytes, after a few collections: each
// halves the stacks that were deeper once.
func memory() uint64 {
	for range 4 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
