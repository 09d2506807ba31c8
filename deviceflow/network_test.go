package deviceflow_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"countersign.dev/deviceflow"
)

// network is one in memory, so that time can be the test's own: real HTTP on both
// of its ends.
type network struct {
	calls   chan net.Conn
	over    chan struct{}
	serving sync.WaitGroup // counts connections, and answers, which outlast theirs when they take it over
}

// connect serves a handler and returns a client that reaches it, whatever host it
// asks for. It wants a bubble of synctest.
func connect(t *testing.T, handler http.Handler) *http.Client {
	t.Helper()
	n := &network{calls: make(chan net.Conn), over: make(chan struct{})}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.serving.Add(1)
		defer n.serving.Done()
		_ = r.ParseForm() // who has not read the body does not hear its client leave
		handler.ServeHTTP(w, r)
	}), ConnState: func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			n.serving.Done()
		}
	}}
	transport := &http.Transport{DialContext: n.dial, DialTLSContext: n.dial} // what is encrypted changes nothing here
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(n) // ends by the cleanup
	}()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
		<-ended
		n.serving.Wait()
	})
	return &http.Client{Transport: transport}
}

func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case n.calls <- theirs:
		return ours, nil
	case <-n.over:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept, Close and Addr make it a net.Listener.
func (n *network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.calls:
		n.serving.Add(1)
		return conn, nil
	case <-n.over:
		return nil, net.ErrClosed
	}
}

func (n *network) Close() error {
	close(n.over)
	return nil
}

func (n *network) Addr() net.Addr { return &net.UnixAddr{} }

// device is a client of the server of a test, which answers under these paths.
func device(client *http.Client) *deviceflow.Config {
	const server = "http://server.example"
	return &deviceflow.Config{
		ClientID: "my-app", HTTPClient: client,
		Endpoint: deviceflow.Endpoint{
			DeviceAuthorizationURL: server + "/code", TokenURL: server + "/token", RevocationURL: server + "/revoke", UserInfoURL: server + "/userinfo",
		},
	}
}
