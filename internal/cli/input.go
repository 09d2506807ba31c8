package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
)

// maxLine bounds a line that is typed or piped in, in bytes.
const maxLine = 1 << 20

// input is what people type, and what other programs pipe in, for whoever asks next.
// One goroutine reads, and only when somebody asks: who stops waiting takes nothing
// with them of what is typed for the next.
type input struct {
	from  io.Reader
	start sync.Once
	ask   chan struct{}
	given chan chunk

	// Of whoever reads, one at a time.
	asked bool
	left  []byte
	err   error // behind what is left
}

type chunk struct {
	text []byte
	err  error
}

func newInput(from io.Reader) *input {
	return &input{from: from, ask: make(chan struct{}, 1), given: make(chan chunk, 1)}
}

func (i *input) read() {
	for range i.ask {
		b := make([]byte, 4096)
		n, err := i.from.Read(b)
		i.given <- chunk{b[:n], err}
	}
}

// more waits for something to be left, or an error behind it.
func (i *input) more(ctx context.Context) error {
	if i.err != nil {
		return i.err
	}
	i.start.Do(func() { go i.read() })
	if !i.asked {
		i.asked = true
		i.ask <- struct{}{}
	}
	select {
	case c := <-i.given:
		i.asked = false
		if errors.Is(c.err, syscall.EIO) {
			return c.err // a terminal in the background: that is over in the foreground
		}
		i.left, i.err = append(i.left, c.text...), c.err
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// key reads one byte.
func (i *input) key(ctx context.Context) (byte, error) {
	for len(i.left) == 0 {
		if err := i.more(ctx); err != nil {
			return 0, err
		}
	}
	b := i.left[0]
	i.left = i.left[1:]
	return b, nil
}

// line reads a line, without its end. The last one may have none.
//
//	io.EOF: there is no line
func (i *input) line(ctx context.Context) (string, error) {
	for {
		if line, rest, ended := bytes.Cut(i.left, []byte("\n")); ended {
			i.left = rest
			return string(bytes.TrimSuffix(line, []byte("\r"))), nil
		}
		if len(i.left) > maxLine {
			return "", errTooLarge
		}
		err := i.more(ctx)
		if errors.Is(err, io.EOF) && len(i.left) > 0 {
			line := i.left
			i.left = nil
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// all reads to the end.
func (i *input) all(ctx context.Context, most int) ([]byte, error) {
	for len(i.left) <= most {
		err := i.more(ctx)
		if errors.Is(err, io.EOF) {
			all := i.left
			i.left = nil
			return all, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, errTooLarge
}

var errTooLarge = errors.New("it is too large")

func readAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = errTooLarge
	}
	return b, err
}
