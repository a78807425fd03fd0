// One shopping journey in the words of each specification, so that every SDK's capture tells the same story.

export const product = { id: 'p-1', name: 'Trail boots', category: 'Shoes/Trail', brand: 'Föhn', price: 89.9, currency: 'EUR', quantity: 1, position: 1 };

/** Names and properties of Segment's ecommerce specification v2. */
export const segmentEvents = [
  ['Products Searched', { query: 'boots für jane@example.com' }],
  ['Product List Viewed', { list_id: 'top', category: 'Shoes', products: [segmentProduct(1), segmentProduct(2)] }],
  ['Product Viewed', segmentProduct(1)],
  ['Product Added', { ...segmentProduct(1), cart_id: 'c-1' }],
  ['Product Removed', { ...segmentProduct(2), cart_id: 'c-1' }],
  ['Checkout Started', { order_id: 'o-1', revenue: 89.9, currency: 'EUR', products: [segmentProduct(1)] }],
  ['Checkout Step Completed', { checkout_id: 'k-1', step: 2, shipping_method: 'DHL' }],
  ['Order Completed', { order_id: 'o-1', total: 96.89, revenue: 89.9, shipping: 4.9, tax: 2.09, discount: 0, currency: 'EUR', products: [segmentProduct(1)] }],
  ['Order Refunded', { order_id: 'o-1', total: 96.89, currency: 'EUR', products: [segmentProduct(1)] }],
  ['Promotion Viewed', { promotion_id: 'autumn', name: 'Autumn', position: 'home' }],
  ['Song Played', { title: 'Río', seconds: 12 }],
];

function segmentProduct(position) {
  return {
    product_id: `p-${position}`, sku: `sku-${position}`, name: product.name, category: product.category, brand: product.brand,
    price: product.price, currency: 'EUR', quantity: 1, position,
  };
}

export const traits = { email: 'jane@example.com', firstName: 'Jane', phone: '+49 30 1234567', address: { street: 'Elm 1' }, plan: 'gold' };
