-- Deliveries that were given up are few among many, and are counted for the metrics.
create index webhook_delivery_failed on webhook_delivery (endpoint_id, id) where status = 'failed';
