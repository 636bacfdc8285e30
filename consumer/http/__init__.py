"""HTTP sides of the service: health of the consumer (`health`), and the gateway.

The gateway is a process of its own, without state. `gateway_server` runs the app that `gateway`
makes. Before every route stands `gateway_guard`; the routes are `gateway_jobs` (`/v1/jobs`),
`gateway_legacy` (the call of the earlier HTTP service), `gateway_page` and `gateway_health`. They
share, and do not own:

    gateway_upload     a multipart body, straight to disk
    gateway_inputs     files into the bucket
    gateway_requests   a note into the bucket, then the record
    gateway_hub        one listener of the event topics
    gateway_lookup     what is known about a job: from the hub, else from the bucket
"""
