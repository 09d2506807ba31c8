package oauth

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/device"
	"countersign.dev/internal/server/wire"
)

// deviceAuthorization is the device authorization response (RFC 8628 §3.2,
// requirement D-10).
type deviceAuthorization struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int    `json:"expires_in"`
	Interval                int    `json:"interval"`
	MatchNumber             string `json:"match_number,omitempty"`
	*agentAuthorization
}

// agentAuthorization is what an agent is answered besides: who it is here, and for how long
// and how deep its request asks.
type agentAuthorization struct {
	AgentID  string `json:"agent_id"`
	Lifetime int    `json:"lifetime"`
	Depth    int    `json:"depth"`
}

// DeviceCode is the device authorization endpoint (RFC 8628 §3.1). The addresses it
// gives are the configured issuer's (requirement D-16), and the code stands in the
// complete one only (requirements D-14, D-15).
func (e *Endpoints) DeviceCode(w http.ResponseWriter, r *http.Request) error {
	// Before anything that costs (attack B-10).
	says := authz.DeviceSays{Origin: r.Header.Get("Origin")}
	if err := e.issuer.Guard.AdmitDeviceRequest(e.door.Source(r), says); err != nil {
		return err
	}
	p, err := wire.Decode(r)
	if err != nil {
		return err
	}
	says.Name, says.Platform = p.Text("device_name"), p.Text("device_platform")
	ask := device.AuthorizationRequest{
		Scope: p.Text("scope"), Resources: p.List("resource"), NumberMatch: p.Flag("number_match"), Nonce: p.Text("nonce"),
		SignatureRequired: p.Text("approval") == authz.ApprovalSigned,
		Thumbprint:        p.Text("dpop_jkt"),
		Agent:             agentSays(p),
		Says:              says,
		Seen:              e.door.Seen(r),
	}
	client, proofs, err := e.identifyAsker(r, p)
	if err != nil {
		return err
	}
	ask.Proofs = proofs
	d, err := e.issuer.Device.Authorize(r.Context(), client, ask)
	if err != nil {
		return err
	}
	verificationURI := e.issuer.Origin() + "/device"
	answer := deviceAuthorization{
		DeviceCode: d.DeviceCode.Reveal(), UserCode: d.UserCode,
		VerificationURI: verificationURI, VerificationURIComplete: verificationURI + "?code=" + url.QueryEscape(d.UserCode),
		ExpiresIn: int(d.ExpiresIn / time.Second), Interval: int(d.Interval / time.Second),
	}
	if d.MatchNumber != 0 {
		answer.MatchNumber = strconv.Itoa(d.MatchNumber)
	}
	if a := d.Asked; a.ByAgent() {
		answer.agentAuthorization = &agentAuthorization{AgentID: a.Agent.ID, Lifetime: int(a.Lifetime / time.Second), Depth: a.Depth}
	}
	w.Header().Set("Pragma", "no-cache")
	return wire.WriteJSON(w, answer)
}

// agentSays is what an agent sends besides what every device does.
func agentSays(p *wire.Params) device.AgentSays {
	says := device.AgentSays{Name: p.Text("agent_name"), Reason: p.Text("agent_reason"), Details: p.JSON("authorization_details")}
	if n, said := p.Whole("lifetime"); said {
		says.Lifetime = &n
	}
	if n, said := p.Whole("depth"); said {
		says.Depth = &n
	}
	return says
}

// DeviceToken is the token endpoint as clients of the device flow know it
// (RFC 8628 §3.4): it takes the one grant type (requirement D-22).
func (e *Endpoints) DeviceToken(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.Decode(r)
	if err != nil {
		return err
	}
	switch p.Text("grant_type") {
	case authz.GrantDevice:
		return e.redeemDevice(w, r, p)
	case "":
		return errNoGrantType
	default:
		return errGrantType
	}
}

// redeemDevice answers one poll (RFC 8628 §3.4), at either token endpoint.
func (e *Endpoints) redeemDevice(w http.ResponseWriter, r *http.Request, p *wire.Params) error {
	code, resources := authz.Secret(p.Text("device_code")), p.List("resource")
	client, proofs, err := e.identifyHolder(r, p)
	if err != nil {
		return err
	}
	wait := time.Duration(preferredWait(r.Header)) * time.Second
	if wait > 0 {
		wait = min(wait, authz.MaxWait)
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	tokens, err := e.issuer.Device.Poll(r.Context(), client, code, wait, proofs, resources...)
	if err != nil {
		return err
	}
	return writeTokens(w, tokens)
}
