package agents

import (
	"encoding/json"
	"net/http"
	"strings"

	"countersign.dev/internal/authz"
	"countersign.dev/internal/authz/agent"
	"countersign.dev/internal/authz/statement"
	"countersign.dev/internal/issuer"
	"countersign.dev/internal/server/owners"
	"countersign.dev/internal/server/wire"
	"countersign.dev/receipt"
)

// Agents has a method for each endpoint.
type Agents struct {
	issuer *issuer.Issuer
	door   *wire.Door
	gate   *owners.Gate
}

// New returns the endpoints of a server.
func New(i *issuer.Issuer, door *wire.Door, gate *owners.Gate) *Agents { return &Agents{i, door, gate} }

// listed is how many agents a program gets at once.
const listed = 100

// view is an agent as its owner sees it: what was signed for it, in the words of the statement,
// and how it stands. Times are in Unix seconds.
type view struct {
	ID     string `json:"id"`
	Parent string `json:"parent,omitempty"`
	Kind   string `json:"kind"`
	// State is of the whole line; PausedAt is there where the agent itself is paused.
	State      agent.State `json:"state"`
	PausedAt   int64       `json:"paused_at,omitempty"`
	RevokedAt  int64       `json:"revoked_at,omitempty"`
	CreatedAt  int64       `json:"created_at"`
	ExpiresAt  int64       `json:"expires_at"`
	LastUsedAt int64       `json:"last_used_at,omitempty"`

	Agent      receipt.Delegate `json:"agent"`
	BAPID      string           `json:"bap_id"`
	ClientID   string           `json:"client_id"`
	ClientName string           `json:"client_name"`
	Scope      string           `json:"scope"`
	Resources  []string         `json:"resource"`
	Details    json.RawMessage  `json:"authorization_details"`
	Depth      int              `json:"depth"`
	NotAfter   int64            `json:"not_after"`
	Presence   string           `json:"presence,omitempty"`
	Delegation string           `json:"delegation,omitempty"`
}

func (a *Agents) view(r *http.Request, s agent.Standing) (view, error) {
	name, err := a.door.ClientName(r, s.ClientID)
	d := s.Delegated
	v := view{
		ID: s.ID, Parent: d.Parent, Kind: string(d.Kind), State: s.State, PausedAt: wire.UnixOrZero(d.PausedAt), RevokedAt: wire.UnixOrZero(s.RevokedAt),
		CreatedAt: s.CreatedAt.Unix(), ExpiresAt: s.ExpiresAt.Unix(), LastUsedAt: wire.UnixOrZero(s.LastUsedAt),
		Agent: statement.DelegateOf(d.Agent), BAPID: s.BAPID, ClientID: s.ClientID, ClientName: name,
		Scope: s.Scope, Resources: s.Resources, Details: json.RawMessage(d.Details), Depth: d.Depth, NotAfter: s.ExpiresAt.Unix(), Presence: string(s.Presence), Delegation: d.Delegation,
	}
	if v.Resources == nil {
		v.Resources = []string{}
	}
	if d.Details == "" {
		v.Details = json.RawMessage("[]")
	}
	return v, err
}

func (a *Agents) views(r *http.Request, list []agent.Standing) ([]view, error) {
	views := make([]view, len(list))
	for i, s := range list {
		var err error
		if views[i], err = a.view(r, s); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// List lists the owner's agents, newest first, those that are over too.
func (a *Agents) List(r *http.Request, who authz.Owner) (any, error) {
	list, next, err := a.issuer.Agents.List(r.Context(), who, r.URL.Query().Get("cursor"), listed)
	if err != nil {
		return nil, err
	}
	views, err := a.views(r, list)
	return struct {
		Agents []view `json:"agents"`
		Next   string `json:"next,omitempty"`
	}{views, next}, err
}

// Show shows one agent, with those right below it.
func (a *Agents) Show(r *http.Request, who authz.Owner) (any, error) {
	s, below, err := a.issuer.Agents.Show(r.Context(), who, r.PathValue("id"), listed)
	if err != nil {
		return nil, err
	}
	v, err := a.view(r, s)
	if err != nil {
		return nil, err
	}
	children, err := a.views(r, below)
	return struct {
		view
		Children []view `json:"children"`
	}{v, children}, err
}

// Resume ends the pause of an agent.
func (a *Agents) Resume(w http.ResponseWriter, r *http.Request) error {
	p, err := wire.DecodeJSON(r)
	if err != nil {
		return err
	}
	claimed := authz.Presence(p.Text("presence"))
	who, err := a.gate.Authenticate(r, p, authz.Changes)
	if err != nil {
		return err
	}
	if err := a.issuer.Agents.Resume(r.Context(), who, r.PathValue("id"), claimed); err != nil {
		return err
	}
	return wire.WriteJSON(w, owners.Success{Success: true})
}

// Chain gives the owner, or the agent itself, what was signed for it, from the owner on.
func (a *Agents) Chain(w http.ResponseWriter, r *http.Request) error {
	chain, err := a.chain(r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="chain.json"`)
	wire.WriteBody(w, http.StatusOK, []byte(chain))
	return nil
}

func (a *Agents) chain(r *http.Request) (string, error) {
	if presented, ok := a.door.Presented(r, &wire.Params{}); ok {
		return a.issuer.Agents.ChainOfAgent(r.Context(), presented, r.PathValue("id"))
	}
	who, err := a.gate.Authenticate(r, &wire.Params{}, authz.Reads)
	if err != nil {
		return "", err
	}
	return a.issuer.Agents.Chain(r.Context(), who, r.PathValue("id"))
}

// Kill ends everything of the account whose kill switch the body is, whoever sends it.
func (a *Agents) Kill(w http.ResponseWriter, r *http.Request) error {
	file, err := wire.ReadFile(r)
	if err != nil {
		return err
	}
	// What an editor leaves at the end is no other file.
	text := strings.TrimRight(string(file), "\r\n") + "\n"
	if err := a.issuer.Agents.Kill(r.Context(), []byte(text), a.door.Source(r), a.door.Seen(r)); err != nil {
		return err
	}
	return wire.WriteJSON(w, owners.Success{Success: true})
}
