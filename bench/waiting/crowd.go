package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign.dev/bench/internal/trial"
)

// crowd are devices of which each has a poll that waits.
type crowd struct {
	trial.Device
	// dial makes the i-th device's connection.
	dial    func(ctx context.Context, i int) (net.Conn, error)
	unread  bool // connections are not read before readAll
	session string
	codes   []trial.Codes
	conns   []net.Conn
	answers []chan answer
	ended   sync.WaitGroup
}

// answer is what a device was answered, and when.
type answer struct {
	at   time.Time
	text string
	err  error
}

// newCrowd gets codes for n devices and signs their owner in.
func newCrowd(ctx context.Context, base string, n int) (*crowd, error) {
	c := &crowd{Device: trial.Device{Base: base, HTTP: trial.NewHTTP(workers)}, dial: fromLoopback(base)}
	return c, c.prepare(ctx, n)
}

// workers is how many devices do something at the same time.
const workers = 64

func (c *crowd) prepare(ctx context.Context, n int) (err error) {
	c.codes, c.conns, c.answers = make([]trial.Codes, n), make([]net.Conn, n), make([]chan answer, n)
	if c.session, err = c.SignIn(ctx); err != nil {
		return err
	}
	return each(n, func(i int) (err error) {
		c.codes[i], err = c.Code(ctx)
		return err
	})
}

// perAddress is how many connections come from one address.
const perAddress = 20000

func fromLoopback(base string) func(ctx context.Context, i int) (net.Conn, error) {
	u, _ := url.Parse(base) // the server's own
	return func(ctx context.Context, i int) (net.Conn, error) {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/perAddress))}}
		return from.DialContext(ctx, "tcp", u.Host)
	}
}

// poll lets every device poll, and returns when all requests are written and the
// last has had a moment to arrive.
func (c *crowd) poll(ctx context.Context) error {
	err := each(len(c.codes), func(i int) error {
		conn, err := c.dial(ctx, i)
		if err != nil {
			return err
		}
		body := fmt.Sprintf(`{"grant_type":"urn:ietf:params:oauth:grant-type:device_code","device_code":%q,"client_id":%q}`, c.codes[i].DeviceCode, trial.ClientID)
		request := fmt.Sprintf("POST /api/auth/device/token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nPrefer: wait=30\r\nContent-Length: %d\r\n\r\n%s",
			strings.TrimPrefix(c.Base, "http://"), len(body), body)
		if _, err := conn.Write([]byte(request)); err != nil {
			return err
		}
		c.conns[i], c.answers[i] = conn, make(chan answer, 1)
		return nil
	})
	if err != nil {
		return err
	}
	if !c.unread {
		c.readAll()
	}
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readAll reads every connection's answer when it comes.
func (c *crowd) readAll() {
	for i, conn := range c.conns {
		c.ended.Go(func() {
			c.answers[i] <- read(conn)
			conn.Close()
		})
	}
}

func read(conn net.Conn) answer {
	resp, err := http.ReadResponse(bufio.NewReaderSize(conn, 512), nil)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	var said struct {
		Error string `json:"error"`
		Token string `json:"access_token"`
	}
	err = json.NewDecoder(resp.Body).Decode(&said)
	if said.Token != "" {
		said.Error = "token"
	}
	return answer{time.Now(), said.Error, err}
}

// approveOne approves a device that waits and says how long until it has its token.
func (c *crowd) approveOne(ctx context.Context, i int) error {
	if err := c.Open(ctx, c.codes[i].UserCode, c.session); err != nil {
		return err
	}
	began := time.Now()
	if err := c.Approve(ctx, c.codes[i].UserCode, c.session); err != nil {
		return err
	}
	a := <-c.answers[i]
	if a.err != nil || a.text != "token" {
		return fmt.Errorf("the approved device was answered %q, %w", a.text, a.err)
	}
	fmt.Printf("one of them is approved: its token came %.1f ms after the approval was sent\n", float64(a.at.Sub(began).Microseconds())/1000)
	c.answers[i] <- answer{text: "token"}
	return nil
}

// answered waits until all have their answer, and checks them.
func (c *crowd) answered(ctx context.Context) error {
	all := make(chan struct{})
	go func() {
		c.ended.Wait()
		close(all)
	}()
	select {
	case <-all:
	case <-ctx.Done():
		return ctx.Err()
	}
	for i, answered := range c.answers {
		if a := <-answered; a.err != nil || (a.text != "token" && a.text != "authorization_pending") {
			return fmt.Errorf("device %d was answered %q, %w", i, a.text, errors.Join(a.err))
		}
	}
	return nil
}

// each does something for n devices, several at a time.
func each(n int, do func(i int) error) error {
	var next atomic.Int64
	var failure atomic.Pointer[error]
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || failure.Load() != nil {
					return
				}
				if err := do(i); err != nil {
					err = fmt.Errorf("device %d: %w", i, err)
					failure.Store(&err)
				}
			}
		})
	}
	running.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}
