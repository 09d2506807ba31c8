// Baseline is a bare net/http server that answers every request of the device flow with a
// fixed JSON: what the machine, the network stack and net/http cost, without any
// work. Figures of the real server are read beside it.
package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; it is printed")
	flag.Parse()
	if err := serve(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "baseline:", err)
		os.Exit(1)
	}
}

func serve(listen string) error {
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := &http.Server{Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}

// handler answers with what the real server would, drawn once.
func handler() http.Handler {
	const pending = `{"error":"authorization_pending","error_description":"the owner has not decided yet: poll again after the interval"}`
	const code = `{"device_code":"0123456789abcdefghijklmnopqrstuvwxyzABCDEFG","user_code":"BCDF-GHJK",` +
		`"verification_uri":"http://localhost:8628/device","verification_uri_complete":"http://localhost:8628/device?code=BCDF-GHJK",` +
		`"expires_in":900,"interval":5}`
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/auth/device/code", fixed(http.StatusOK, code))
	mux.HandleFunc("GET /api/auth/device/code", fixed(http.StatusOK, code))
	mux.HandleFunc("POST /api/auth/device/token", fixed(http.StatusBadRequest, pending))
	return mux
}

func fixed(status int, text string) http.HandlerFunc {
	body, length := []byte(text), strconv.Itoa(len(text))
	return func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return // a request that did not arrive whole
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Length", length)
		w.WriteHeader(status)
		w.Write(body) // a client that has gone hears nothing
	}
}
