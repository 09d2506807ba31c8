package model_test

import (
	"math"
	"testing"
	"time"

	"countersign.dev/bench/internal/model"
)

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within*math.Abs(want) {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

func TestDevicesWhoseOwnersNeverDecideWaitForAllOfTheLifetime(t *testing.T) {
	p := model.Typical()
	p.Abandoned, p.Pending = 1, 9000
	near(t, "the mean wait", p.Waiting(), 900, 1e-9)
	near(t, "arrivals", p.Arrivals(), 10, 1e-9)
	r := p.Rates()
	// 179 polls at 5 s that are pending, and one that hears of the expiry.
	near(t, "polls", r[model.FirstPoll]+r[model.NextPoll], 10*180, 1e-9)
	near(t, "approvals", r[model.Approve], 0, 0)
}

func TestANodeReadsOnceInTheTimeThatItTrusts(t *testing.T) {
	p := model.Typical()
	p.Abandoned, p.Pending = 1, 9000
	// Of 179 pending polls the 1st, 7th, 13th … read: 30. And the last one.
	near(t, "reads", p.Rates()[model.FirstPoll], 10*31, 1e-9)
}

func TestPollsThatGoToAnyNodeReadMore(t *testing.T) {
	p := model.Typical()
	p.Abandoned, p.Sticky, p.Pending = 1, false, 900*1000
	p.Nodes = 1
	one := p.Rates()[model.FirstPoll]
	p.Nodes = 1_000_000
	all := p.Rates()[model.FirstPoll]
	near(t, "reads with one node", one, 1000*31, 1e-9)
	near(t, "reads with countless nodes", all, 1000*180, 1e-3)
	p.Nodes = 6
	// In the long run 1/(1+5/6) of the polls read; at first more, for no node knows.
	some := p.Rates()[model.FirstPoll]
	if share := (some - 1000) / (1000 * 179); share < 6.0/11 || share > 6.0/11+0.02 {
		t.Errorf("with six nodes %.3f of the polls read, want a little more than %.3f", share, 6.0/11)
	}
}

func TestTheMeanWaitIsThatOfTheLognormalCutOffAtTheLifetime(t *testing.T) {
	p := model.Typical()
	p.Abandoned = 0
	// ∫ alive(t) dt by rectangles, from the rates of polls a millisecond apart.
	p.Interval, p.Trust, p.Pending = 10*time.Millisecond, 0, 1
	r := p.Rates()
	polls := r[model.FirstPoll] + r[model.NextPoll]
	near(t, "the mean wait", p.Waiting(), polls/p.Arrivals()*0.01, 1e-3)
}

func TestWaitingPollsAreAsManyAsTheTimeTheyHold(t *testing.T) {
	p := model.Typical()
	p.Abandoned, p.Waits, p.Pending = 1, true, 9000
	near(t, "waiting polls", p.Rates()[model.WaitPoll], 10*30, 1e-9)
	near(t, "connections", p.Connections(), 9000, 0)
}

func TestUseIsRatesTimesCosts(t *testing.T) {
	p := model.Typical()
	p.Abandoned, p.Pending, p.Shards = 1, 9000, 1
	c := model.Costs{
		model.Code:     {Server: 100, DatabaseCPU: 40, WAL: 700, Statements: []model.Statement{{Name: "store a request", Calls: 1, Each: 50}}},
		model.NextPoll: {Server: 20},
	}
	u := p.Use(c)
	near(t, "server cores", u.ServerCores, 10*100e-6+u.Rates[model.NextPoll]*20e-6, 1e-9)
	near(t, "database cores", u.DatabaseCores, 10*40e-6, 1e-9)
	near(t, "log", u.WAL, 7000, 1e-9)
	near(t, "writes", u.Writes, 10, 1e-9)
	near(t, "writer", u.Writer, 10*(40e-6+0.001/256)/float64(p.Nodes), 1e-9)
}
