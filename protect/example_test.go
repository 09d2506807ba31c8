package protect_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"countersign.dev/protect"
)

func ExampleNew() {
	ctx := context.Background()
	server, accessToken := exampleIssuer() // in real life https://id.example
	defer server.Close()

	api, err := protect.New(ctx, server.URL, "https://api.example", protect.Clock(server.now))
	if err != nil {
		log.Fatal(err)
	}
	notes := func(w http.ResponseWriter, r *http.Request) {
		token := protect.FromContext(r.Context())
		fmt.Fprintf(w, "the notes of %s, by %s", token.Subject, token.ClientID)
	}
	mux := http.NewServeMux()
	mux.Handle("/notes", api.Require("notes:read", http.HandlerFunc(notes)))
	mux.Handle(api.Metadata())

	r := httptest.NewRequest(http.MethodGet, "/notes", nil)
	r.Header.Set("Authorization", "Bearer "+accessToken)
	for range 2 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
		r.Header.Del("Authorization")
	}
	// Output:
	// 200 the notes of satoshi, by app
	// 401 {"error":"unauthorized","error_description":"send an access token as Authorization: Bearer, or one that is bound to a key as Authorization: DPoP with a proof"}
}
