package admin

import (
	"context"

	"stele"
)

// Drills are proven restores.
type Drills interface {
	DrillTarget(ctx context.Context, by stele.Actor, q stele.DrillRequest) (stele.Drilled, error)
}

func serveDrill(ctx context.Context, q request, a stele.DrillRequest) (stele.Drilled, error) {
	return q.store.DrillTarget(ctx, q.by, a)
}

// DrillTarget runs on the server.
func (c *Client) DrillTarget(ctx context.Context, _ stele.Actor, q stele.DrillRequest) (stele.Drilled, error) {
	return invoke[stele.Drilled](ctx, c, "DrillTarget", q)
}
