-- AddForeignKey
ALTER TABLE "price_history" ADD CONSTRAINT "price_history_sku_fkey" FOREIGN KEY ("sku") REFERENCES "products"("sku") ON DELETE RESTRICT ON UPDATE CASCADE;
