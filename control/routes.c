#include "control/routes.h"

#include "control/access/guard.h"
#include "control/http/router.h"
#include "control/web/web.h"

static void page_dashboard(void *ctx, struct http_request *req)
{
	web_answer(req, "index.html");
}

static void page_watch(void *ctx, struct http_request *req)
{
	web_answer(req, "watch.html");
}

static void page_file(void *ctx, struct http_request *req)
{
	web_answer(req, http_request_param(req, "file"));
}

static void document_openapi(void *ctx, struct http_request *req)
{
	web_answer(req, "openapi.json");
}

static const struct http_header accept_post[] = {
	{ "Accept-Post", "application/sdp" },
	{},
};

static const struct http_header accept_patch[] = {
	{ "Accept-Patch", "application/trickle-ice-sdpfrag" },
	{},
};

// WHEP is served under two prefixes, with the same handlers.
#define ON_ENDPOINT                                                                      \
	{                                                                                \
		[HTTP_POST] = whep_post, [HTTP_GET] = whep_get, [HTTP_HEAD] = whep_head, \
		[HTTP_DELETE] = whep_no_resource                                         \
	}
#define ON_SESSION                                                                            \
	{                                                                                     \
		[HTTP_PATCH] = whep_patch, [HTTP_DELETE] = whep_delete, [HTTP_GET] = whep_get \
	}

static const struct http_route routes[] = {
	{ .pattern = "/whep/{stream}", .on = ON_ENDPOINT, .options_headers = accept_post },
	{ .pattern = "/whep/{stream}/{resource}",
		.on = ON_SESSION,
		.options_headers = accept_patch },
	{ .pattern = "/whep/{stream}/", .on = { [HTTP_DELETE] = whep_no_resource } },
	{ .pattern = "/whep", .on = { [HTTP_POST] = whep_no_stream } },
	{ .pattern = "/whep/", .on = { [HTTP_POST] = whep_no_stream } },
	{ .pattern = "/api/v3/whep/{stream}", .on = ON_ENDPOINT, .options_headers = accept_post },
	{ .pattern = "/api/v3/whep/{stream}/{resource}",
		.on = ON_SESSION,
		.options_headers = accept_patch },
	{ .pattern = "/api/v3/whep/{stream}/", .on = { [HTTP_DELETE] = whep_no_resource } },
	{ .pattern = "/api/v3/whep", .on = { [HTTP_POST] = whep_no_stream } },
	{ .pattern = "/api/v3/whep/", .on = { [HTTP_POST] = whep_no_stream } },
	{ .pattern = "/api/v3/streams",
		.on = { [HTTP_GET] = stream_api_list },
		.same_origin = true },
	{ .pattern = "/api/v3/streams/{id}",
		.on = { [HTTP_GET] = stream_api_get,
			[HTTP_PUT] = stream_api_put,
			[HTTP_DELETE] = stream_api_delete },
		.same_origin = true },
	{ .pattern = "/api/v3/streams/{id}/source",
		.on = { [HTTP_PUT] = stream_api_pick },
		.same_origin = true },
	{ .pattern = "/api/v3/streams/{id}/peers",
		.on = { [HTTP_GET] = stream_api_peers },
		.same_origin = true },
	{ .pattern = "/api/v3/streams/{id}/peers/{resource}",
		.on = { [HTTP_GET] = stream_api_peer },
		.same_origin = true },
	{ .pattern = "/api/v3/dataplane",
		.on = { [HTTP_GET] = dataplane_api_get },
		.same_origin = true },
	{ .pattern = "/api/v3/openapi.json",
		.on = { [HTTP_GET] = document_openapi },
		.same_origin = true },
	{ .pattern = "/metrics", .on = { [HTTP_GET] = metrics_get }, .same_origin = true },
	{ .pattern = "/healthz", .on = { [HTTP_GET] = health_live } },
	{ .pattern = "/readyz", .on = { [HTTP_GET] = health_ready } },
	{ .pattern = "/", .on = { [HTTP_GET] = page_dashboard } },
	{ .pattern = "/watch/{stream}", .on = { [HTTP_GET] = page_watch } },
	{ .pattern = "/web/{file}", .on = { [HTTP_GET] = page_file } },
};

const struct http_route *routes_table(size_t *n)
{
	*n = sizeof(routes) / sizeof(routes[0]);
	return routes;
}

void routes_dispatch(struct api *api, struct http_request *req)
{
	http_router_dispatch(routes, sizeof(routes) / sizeof(routes[0]), access_guard, api, req);
}
