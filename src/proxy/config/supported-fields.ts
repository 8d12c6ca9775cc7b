/**
 * What of Envoy's messages this proxy acts on (or may safely ignore: stats names, descriptions, limits that only bound
 * memory). A field that is set and not listed is refused by its name, so that nothing is silently different from Envoy.
 * Messages that are not listed are either walked into without a check of their own (google.protobuf, matchers that the
 * compilers in `decide` check themselves) or refused as extensions by `KNOWN_EXTENSIONS`.
 */
export const SUPPORTED_FIELDS: Readonly<Record<string, string>> = {
  "envoy.config.bootstrap.v3.Bootstrap":
    "node static_resources dynamic_resources cluster_manager admin stats_config stats_flush_interval layered_runtime overload_manager default_config_source watchdogs application_log_config deferred_stat_options stats_flush_on_admin",
  "envoy.config.bootstrap.v3.Bootstrap.StaticResources": "listeners clusters secrets",
  "envoy.config.bootstrap.v3.Bootstrap.DynamicResources": "lds_config cds_config ads_config",
  "envoy.config.bootstrap.v3.Admin": "access_log access_log_path profile_path address ignore_global_conn_limit",
  "envoy.config.bootstrap.v3.ClusterManager": "upstream_bind_config local_cluster_name",
  "envoy.config.core.v3.ApiConfigSource":
    "api_type transport_api_version grpc_services set_node_on_first_message_only refresh_delay request_timeout rate_limit_settings",
  "envoy.config.core.v3.GrpcService": "envoy_grpc timeout initial_metadata",
  "envoy.config.core.v3.ConfigSource": "ads initial_fetch_timeout resource_api_version",
  "envoy.config.listener.v3.Listener":
    "name address stat_prefix filter_chains use_original_dst default_filter_chain per_connection_buffer_limit_bytes metadata listener_filters listener_filters_timeout continue_on_listener_filters_timeout transparent traffic_direction access_log bind_to_port deprecated_v1 enable_reuse_port reuse_port connection_balance_config drain_type tcp_backlog_size max_connections_to_accept_per_socket_event ignore_global_conn_limit bypass_overload_manager",
  "envoy.config.listener.v3.FilterChain": "filter_chain_match filters metadata transport_socket transport_socket_connect_timeout name",
  "envoy.config.listener.v3.FilterChainMatch":
    "destination_port prefix_ranges server_names transport_protocol application_protocols direct_source_prefix_ranges source_type source_prefix_ranges source_ports",
  "envoy.config.listener.v3.Filter": "name typed_config",
  "envoy.config.listener.v3.ListenerFilter": "name typed_config",
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector": "",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector": "",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager":
    "codec_type stat_prefix rds route_config http_filters common_http_protocol_options http_protocol_options http2_protocol_options server_name server_header_transformation max_request_headers_kb stream_idle_timeout request_timeout request_headers_timeout drain_timeout delayed_close_timeout access_log access_log_options use_remote_address xff_num_trusted_hops skip_xff_append generate_request_id preserve_external_request_id always_set_request_id_in_response forward_client_cert_details set_current_client_cert_details proxy_100_continue upgrade_configs normalize_path merge_slashes strip_matching_host_port strip_any_host_port stream_error_on_invalid_http_message internal_address_config path_with_escaped_slashes_action",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig": "cidr_ranges",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails": "subject dns uri",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter": "name typed_config is_optional",
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig": "upgrade_type enabled",
  "envoy.extensions.filters.network.http_connection_manager.v3.Rds": "config_source route_config_name",
  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":
    "stat_prefix cluster weighted_clusters idle_timeout access_log access_log_options max_connect_attempts",
  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": "name weight",
  "envoy.extensions.filters.network.rbac.v3.RBAC": "rules shadow_rules shadow_rules_stat_prefix stat_prefix enforcement_type",
  "envoy.extensions.filters.http.rbac.v3.RBAC": "rules rules_stat_prefix shadow_rules shadow_rules_stat_prefix",
  "envoy.extensions.filters.http.rbac.v3.RBACPerRoute": "rbac",
  "envoy.extensions.filters.http.router.v3.Router": "suppress_envoy_headers dynamic_stats start_child_span",
  "envoy.extensions.filters.http.fault.v3.HTTPFault": "delay abort headers",
  "envoy.extensions.filters.common.fault.v3.FaultDelay": "fixed_delay percentage",
  "envoy.extensions.filters.http.fault.v3.FaultAbort": "http_status percentage",
  "envoy.config.core.v3.HttpProtocolOptions": "idle_timeout max_headers_count max_requests_per_connection",
  "envoy.config.core.v3.Http1ProtocolOptions": "accept_http_10 default_host_for_http_10 enable_trailers allow_absolute_url allow_custom_methods",
  "envoy.config.route.v3.RouteConfiguration":
    "name virtual_hosts request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove validate_clusters ignore_port_in_host_matching max_direct_response_body_size_bytes most_specific_header_mutations_wins",
  "envoy.config.route.v3.VirtualHost":
    "name domains routes request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove typed_per_filter_config include_request_attempt_count retry_policy metadata",
  "envoy.config.route.v3.Route":
    "name match route redirect direct_response metadata decorator typed_per_filter_config request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove stat_prefix",
  "envoy.config.route.v3.RouteMatch": "prefix path safe_regex path_separated_prefix connect_matcher case_sensitive runtime_fraction headers query_parameters",
  "envoy.config.route.v3.RouteAction":
    "cluster cluster_header weighted_clusters cluster_not_found_response_code prefix_rewrite regex_rewrite host_rewrite_literal auto_host_rewrite host_rewrite_header host_rewrite_path_regex append_x_forwarded_host timeout idle_timeout retry_policy max_stream_duration priority max_grpc_timeout upgrade_configs",
  "envoy.config.route.v3.RedirectAction":
    "https_redirect scheme_redirect host_redirect port_redirect path_redirect prefix_rewrite regex_rewrite response_code strip_query",
  "envoy.config.route.v3.DirectResponseAction": "status body",
  "envoy.config.core.v3.HeaderValueOption": "header append append_action keep_empty_value",
  "envoy.config.core.v3.HeaderValue": "key value",
  "envoy.config.core.v3.DataSource": "filename inline_bytes inline_string environment_variable",
  "envoy.config.core.v3.SocketAddress": "protocol address port_value",
  "envoy.config.rbac.v3.RBAC": "action policies",
  "envoy.config.route.v3.RouteAction.UpgradeConfig": "upgrade_type enabled",
  "envoy.config.route.v3.RouteAction.MaxStreamDuration": "max_stream_duration grpc_timeout_header_max",
  "envoy.config.route.v3.WeightedCluster": "clusters total_weight runtime_key_prefix",
  "envoy.config.route.v3.WeightedCluster.ClusterWeight":
    "name weight request_headers_to_add request_headers_to_remove response_headers_to_add response_headers_to_remove",
  "envoy.config.route.v3.RetryPolicy": "retry_on num_retries per_try_timeout retriable_status_codes retry_back_off",
  "envoy.config.cluster.v3.Cluster":
    "name alt_stat_name type eds_cluster_config connect_timeout per_connection_buffer_limit_bytes lb_policy load_assignment max_requests_per_connection circuit_breakers common_http_protocol_options http_protocol_options typed_extension_protocol_options dns_refresh_rate dns_failure_refresh_rate respect_dns_ttl dns_lookup_family upstream_bind_config least_request_lb_config round_robin_lb_config original_dst_lb_config common_lb_config transport_socket transport_socket_matches metadata upstream_connection_options close_connections_on_host_health_failure ignore_health_on_host_removal wait_for_warm_on_init cleanup_interval protocol_selection",
  "envoy.config.cluster.v3.Cluster.LeastRequestLbConfig": "choice_count",
  "envoy.config.cluster.v3.Cluster.RoundRobinLbConfig": "",
  "envoy.config.cluster.v3.Cluster.OriginalDstLbConfig": "upstream_port_override",
  "envoy.config.cluster.v3.Cluster.CommonLbConfig":
    "healthy_panic_threshold locality_weighted_lb_config update_merge_window close_connections_on_host_set_change zone_aware_lb_config ignore_new_hosts_until_first_hc",
  "envoy.config.cluster.v3.Cluster.EdsClusterConfig": "eds_config service_name",
  "envoy.config.cluster.v3.CircuitBreakers": "thresholds",
  "envoy.config.cluster.v3.CircuitBreakers.Thresholds": "priority max_connections max_pending_requests max_requests max_retries track_remaining",
  "envoy.config.core.v3.BindConfig": "source_address socket_options",
  "envoy.config.core.v3.SocketOption": "level name int_value state description",
  "envoy.config.endpoint.v3.ClusterLoadAssignment": "cluster_name endpoints policy",
  "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy": "",
  "envoy.config.endpoint.v3.LocalityLbEndpoints": "locality lb_endpoints load_balancing_weight priority metadata",
  "envoy.config.endpoint.v3.LbEndpoint": "endpoint health_status metadata load_balancing_weight",
  "envoy.config.endpoint.v3.Endpoint": "address hostname health_check_config",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": "common_http_protocol_options explicit_http_config use_downstream_protocol_config",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig": "http_protocol_options http2_protocol_options",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig": "http_protocol_options http2_protocol_options",
  "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext": "common_tls_context sni allow_renegotiation max_session_keys",
  "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext":
    "common_tls_context require_client_certificate disable_stateless_session_resumption disable_stateful_session_resumption session_timeout ocsp_staple_policy",
  "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext":
    "tls_params tls_certificates tls_certificate_sds_secret_configs validation_context validation_context_sds_secret_config combined_validation_context alpn_protocols",
  "envoy.extensions.transport_sockets.tls.v3.TlsParameters": "tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves",
  "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext.CombinedCertificateValidationContext":
    "default_validation_context validation_context_sds_secret_config",
  "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext":
    "trusted_ca match_typed_subject_alt_names match_subject_alt_names trust_chain_verification",
  "envoy.extensions.transport_sockets.tls.v3.SubjectAltNameMatcher": "san_type matcher",
  "envoy.extensions.transport_sockets.tls.v3.TlsCertificate": "certificate_chain private_key",
  "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig": "name sds_config",
  "envoy.extensions.transport_sockets.tls.v3.Secret": "name tls_certificate validation_context",
  "envoy.config.accesslog.v3.AccessLog": "name typed_config",
  "envoy.extensions.access_loggers.file.v3.FileAccessLog": "path format json_format typed_json_format log_format",
  "envoy.config.core.v3.SubstitutionFormatString": "text_format text_format_source json_format omit_empty_values content_type json_format_options",
};

/**
 * Fields of which only some values are acted on: what is told of the others. They are looked at when they are set.
 */
export const UNSUPPORTED_VALUES: Readonly<Record<string, Readonly<Record<string, (value: unknown) => string | undefined>>>> = {
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
    path_with_escaped_slashes_action: (value) =>
      Number(value) > 2 ? "unescaping is not supported by weft proxy; use KEEP_UNCHANGED or REJECT_REQUEST" : undefined,
  },
  "envoy.config.core.v3.Http1ProtocolOptions": {
    allow_absolute_url: (value) => (value === false || wrapped(value) === false ? "false is not supported by weft proxy" : undefined),
  },
  "envoy.config.route.v3.RouteAction": { priority: (value) => (Number(value) === 1 ? "HIGH is not supported by weft proxy" : undefined) },
  "envoy.config.route.v3.RouteAction.MaxStreamDuration": { max_stream_duration: unlessZero, grpc_timeout_header_max: unlessZero },
  "envoy.config.cluster.v3.Cluster": {
    dns_lookup_family: (value) => (Number(value) === 2 ? "V6_ONLY is not supported by weft proxy: it asks for IPv4 addresses only" : undefined),
  },
  "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext": {
    trust_chain_verification: (value) => (Number(value) === 1 ? "ACCEPT_UNTRUSTED is not supported by weft proxy" : undefined),
  },
};

function wrapped(value: unknown): unknown {
  return typeof value === "object" && value !== null && "message" in value ? (value.message as { readonly value?: unknown }).value : undefined;
}

function unlessZero(value: unknown): string | undefined {
  const duration = (value as { readonly message: { readonly seconds: bigint; readonly nanos: number } }).message;
  return duration.seconds === 0n && duration.nanos === 0 ? undefined : "is not supported by weft proxy; leave it out, or set it to 0s";
}

/** Extensions (by message) that may stand in an `Any`. */
export const KNOWN_EXTENSIONS: ReadonlySet<string> = new Set([
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
  "envoy.extensions.filters.network.rbac.v3.RBAC",
  "envoy.extensions.filters.http.rbac.v3.RBAC",
  "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
  "envoy.extensions.filters.http.router.v3.Router",
  "envoy.extensions.filters.http.fault.v3.HTTPFault",
  "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
  "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
  "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
  "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
  "envoy.extensions.access_loggers.file.v3.FileAccessLog",
  "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
  "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
]);

/** Not walked: they change nothing of what the proxy does here. */
export const IGNORED_SUBTREES: ReadonlySet<string> = new Set([
  "envoy.config.core.v3.Node",
  "envoy.config.core.v3.Metadata",
  "envoy.config.bootstrap.v3.LayeredRuntime",
  "envoy.config.overload.v3.OverloadManager",
  "envoy.config.metrics.v3.StatsConfig",
  "envoy.config.bootstrap.v3.Watchdogs",
]);
