# A global external load balancer in front of services of Cloud Run, in one region
# or several. Each client reaches the nearest of the regions that are active.

resource "google_compute_global_address" "this" {
  project = var.project
  name    = var.name
}

resource "google_compute_region_network_endpoint_group" "this" {
  for_each = var.services

  project               = var.project
  name                  = "${var.name}-${each.key}"
  region                = each.key
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = each.value
  }
}

# No health check: Google has none for Cloud Run behind a load balancer. A region is
# taken out by hand, by `active`.
resource "google_compute_backend_service" "this" {
  project               = var.project
  name                  = var.name
  protocol              = "HTTPS"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  enable_cdn            = var.cdn
  compression_mode      = "DISABLED"

  dynamic "backend" {
    for_each = setintersection(var.active, keys(var.services))

    content {
      group = google_compute_region_network_endpoint_group.this[backend.value].id
    }
  }

  # Only what the IdP itself calls public is kept, for as long as it says: the key
  # set, metadata and status lists. Never longer, or a key that was withdrawn lives on.
  dynamic "cdn_policy" {
    for_each = var.cdn ? ["origin"] : []

    content {
      cache_mode                   = "USE_ORIGIN_HEADERS"
      negative_caching             = false
      serve_while_stale            = 0
      signed_url_cache_max_age_sec = 0

      cache_key_policy {
        include_host         = true
        include_protocol     = true
        include_query_string = true
      }
    }
  }

  log_config {
    enable      = true
    sample_rate = var.log_sampling
  }
}

resource "google_compute_url_map" "this" {
  project         = var.project
  name            = var.name
  default_service = google_compute_backend_service.this.id
}

resource "google_compute_managed_ssl_certificate" "this" {
  project = var.project
  name    = "${var.name}-${substr(sha256(join(",", var.hosts)), 0, 8)}"

  managed {
    domains = var.hosts
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "this" {
  project         = var.project
  name            = var.name
  profile         = "RESTRICTED"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  project          = var.project
  name             = var.name
  url_map          = google_compute_url_map.this.id
  ssl_certificates = [google_compute_managed_ssl_certificate.this.id]
  ssl_policy       = google_compute_ssl_policy.this.id
  tls_early_data   = "DISABLED" # a replayed request is a second one
}

# Port 443 alone: nobody should send a token to port 80, not even to be redirected.
resource "google_compute_global_forwarding_rule" "this" {
  project               = var.project
  name                  = var.name
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_protocol           = "TCP"
  ip_address            = google_compute_global_address.this.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.this.id
}
